/**
 * Where this page lives. The server writes its path prefix into `<base href>`, so the page never
 * guesses it from the address.
 */
export function prefixOf(baseUri: string): string {
  return new URL(baseUri).pathname.replace(/\/+$/, '');
}

/** The address of an API call, e.g. `/umbrella/api/session` for `/api/session`. */
export function apiUrl(path: string, baseUri: string = document.baseURI): string {
  return prefixOf(baseUri) + path;
}

/** The address for the media connection: the page's own origin and the prefix of the grant. */
export function socketUrl(prefix: string, pageUrl: string = location.href): string {
  const url = new URL(pageUrl);
  const scheme = url.protocol === 'http:' ? 'ws:' : 'wss:';
  return `${scheme}//${url.host}${prefix.replace(/\/+$/, '')}`;
}
