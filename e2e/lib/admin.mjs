// The admin's side of the API, without a page.

/** Somebody who is signed in. */
export class Admin {
  #server;
  #headers;

  constructor(server, cookie, csrf) {
    this.#server = server;
    this.#headers = { cookie, 'x-umbrella-csrf': csrf };
  }

  /** Sets the password by a one-time link of `umbrella admin-link`. */
  static async setUp(server, password) {
    const link = await server.command('admin-link');
    return Admin.#enter(server, '/api/setup', { code: link.split('#/setup/')[1].trim(), password });
  }

  /** Signs in; fails if the password is not the right one. */
  static logIn(server, password) {
    return Admin.#enter(server, '/api/login', { password });
  }

  static async #enter(server, path, what) {
    const answer = await send(server, 'POST', path, what);
    const cookie = answer.headers['set-cookie'][0].split(';')[0];
    return new Admin(server, cookie, JSON.parse(answer.text).csrf);
  }

  /** A call below `/api/admin`; what is answered, if that is JSON. */
  async call(method, path, what) {
    const { text } = await send(this.#server, method, `/api/admin${path}`, what, this.#headers);
    return text ? JSON.parse(text) : null;
  }
}

async function send(server, method, path, what, headers = {}) {
  const body = what && JSON.stringify(what);
  const answer = await server.request(method, path, {
    body,
    headers: { ...headers, ...(body ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } : {}) },
  });
  if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}: ${answer.text}`);
  return answer;
}
