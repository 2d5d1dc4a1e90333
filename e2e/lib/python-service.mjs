// The server API through the SDK of applications in Python.

import { runPython } from './python.mjs';
import { API_KEY, API_SECRET } from './server.mjs';

/** Why a call was refused: `code` and `status` are the SDK's. */
export class Refused extends Error {
  constructor(method, { code, status }) {
    super(`${method} was refused: ${code}`);
    Object.assign(this, { code, status });
  }
}

/** Calls `server` by the names and fields of the Python SDK, certificates checked. */
export class PythonService {
  #server;
  #credentials;

  constructor(server, credentials = { key: API_KEY, secret: API_SECRET }) {
    this.#server = server;
    this.#credentials = credentials;
  }

  async call(method, request = {}) {
    const authority = await this.#server.authority();
    const input = { url: this.#server.url, method, request, ...this.#credentials };
    const { result, error } = await runPython('service.py', input, authority ? { SSL_CERT_FILE: authority } : {});
    if (error) throw new Refused(method, error);
    return result;
  }
}
