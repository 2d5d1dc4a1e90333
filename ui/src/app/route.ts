/**
 * The places of the page. They stand behind `#`, so the secrets in them (invite tokens, the
 * set-up code) never reach a server, a proxy or a log.
 */
export type Route =
  | { kind: 'start' }
  | { kind: 'join'; token: string }
  | { kind: 'setup'; code: string }
  | { kind: 'login'; next: Route | null }
  | { kind: 'admin'; tab: AdminTab }
  | { kind: 'room'; room: string }
  /** Whether calls will work; a guest's has the token of an invite. */
  | { kind: 'check'; token: string | null }
  | { kind: 'unknown' };

export type AdminTab = 'rooms' | 'invites' | 'keys' | 'cameras' | 'servers' | 'status';

export const ADMIN_TABS: readonly AdminTab[] = [
  'rooms',
  'invites',
  'keys',
  'cameras',
  'servers',
  'status',
];

/** Reads the part of the address from `#` on. */
export function parseRoute(hash: string): Route {
  const [first = '', second = '', ...rest] = hash
    .replace(/^#?\/?/, '')
    .split('/')
    .map(decode);
  if (rest.some((part) => part !== '')) return { kind: 'unknown' };
  switch (first) {
    case '':
      return second === '' ? { kind: 'start' } : { kind: 'unknown' };
    case 'join':
      return second === '' ? { kind: 'unknown' } : { kind: 'join', token: second };
    case 'setup':
      return second === '' ? { kind: 'unknown' } : { kind: 'setup', code: second };
    case 'room':
      return second === '' ? { kind: 'unknown' } : { kind: 'room', room: second };
    case 'check':
      return { kind: 'check', token: second === '' ? null : second };
    case 'login':
      return { kind: 'login', next: second === '' ? null : innerRoute(second) };
    case 'admin':
      return adminRoute(second);
    default:
      return { kind: 'unknown' };
  }
}

/** Writes a route as the part of an address from `#` on. */
export function formatRoute(route: Route): string {
  switch (route.kind) {
    case 'start':
    case 'unknown':
      return '#/';
    case 'join':
      return `#/join/${encodeURIComponent(route.token)}`;
    case 'setup':
      return `#/setup/${encodeURIComponent(route.code)}`;
    case 'check':
      return route.token === null ? '#/check' : `#/check/${encodeURIComponent(route.token)}`;
    case 'room':
      return `#/room/${encodeURIComponent(route.room)}`;
    case 'login':
      return route.next === null
        ? '#/login'
        : `#/login/${encodeURIComponent(formatRoute(route.next))}`;
    case 'admin':
      return route.tab === 'rooms' ? '#/admin' : `#/admin/${route.tab}`;
  }
}

/** The address of a route. Not just `#…`: that would be resolved against `<base href>`. */
export function hrefOf(route: Route): string {
  return location.pathname + location.search + formatRoute(route);
}

function adminRoute(tab: string): Route {
  if (tab === '') return { kind: 'admin', tab: 'rooms' };
  const known = ADMIN_TABS.find((name) => name === tab);
  return known === undefined ? { kind: 'unknown' } : { kind: 'admin', tab: known };
}

/** Where to go after signing in: only into the admin's own pages, never to another sign-in. */
function innerRoute(hash: string): Route | null {
  const route = parseRoute(hash);
  const isCheck = route.kind === 'check' && route.token === null;
  return route.kind === 'admin' || route.kind === 'room' || isCheck ? route : null;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
