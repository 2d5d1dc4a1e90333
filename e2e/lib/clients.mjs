// Clients of four kinds with the same methods: connect, publish, snapshot and so on, as
// page/client.mjs has them.

import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Browsers } from './browsers.mjs';
import { inside } from './network.mjs';
import { ARTIFACTS, HERE, NETWORK, PYTHON } from './settings.mjs';
import { token } from './tokens.mjs';
import { until } from './wait.mjs';

/** How long a native client may take to answer one call. */
const ANSWER_MS = 60_000;

/** Makes clients for one server and ends them all. */
export class Clients {
  #server;
  #namespace;
  #browsers;
  #open = new Set();

  /** Clients live in `namespace`, if there is one, Chromium with further `flags`. */
  constructor(server, namespace, flags) {
    this.#server = server;
    this.#namespace = namespace;
    this.#browsers = new Browsers(namespace, flags);
  }

  /** A client that is not connected yet; a `roaming` one can lose its network. */
  async make(kind, identity, { roaming = false } = {}) {
    const client = kind === 'chromium' || kind === 'firefox'
      ? new BrowserClient(kind, identity, await this.#browsers.tab(kind, { roaming }))
      : new NativeClient(kind, identity, await this.#server.authority(), roaming ? NETWORK.roaming : this.#namespace);
    this.#open.add(client);
    return client;
  }

  /** A client that has joined `room`. `options` go to `connect`; `as` goes to the token. */
  async join(kind, room, identity, { as = {}, roaming, ...options } = {}) {
    const client = await this.make(kind, identity, { roaming });
    await client.connect({ url: this.#server.ws, token: await token(room, identity, as), ...options });
    return client;
  }

  /** Ends all that are open, so that the next test begins alone. */
  async clear() {
    await Promise.all([...this.#open].map((client) => client.close()));
    this.#open.clear();
  }

  async close() {
    await this.clear();
    await this.#browsers.close();
  }
}

/** What the kinds have in common. */
class Client {
  constructor(kind, identity) {
    this.kind = kind;
    this.identity = identity;
    for (const method of ['connect', 'publish', 'publishScreen', 'sendData', 'sendChat', 'rpc', 'update', 'mute',
      'subscribe', 'quality', 'enable', 'resize', 'disconnect', 'snapshot', 'watch', 'sends', 'allow',
      'colours', 'beat', 'firstPicture']) {
      this[method] = (params = {}) => this.call(method, params);
    }
  }

  /** What this client knows of one of `identity`'s tracks; empty while there is none. */
  async track(identity, source) {
    return (await this.snapshot()).participants[identity]?.tracks[source] ?? {};
  }

  /** Waits until a track's picture moves, and returns what is known of it. */
  async seesMoving(identity, source = 'camera') {
    const first = await until(`${this} decodes ${identity}'s ${source}`, async () => {
      const track = await this.track(identity, source);
      return track.frames > 0 && track;
    });
    return until(`${this} sees ${identity}'s ${source} move`, async () => {
      const track = await this.track(identity, source);
      // Native clients draw nothing.
      return track.frames > first.frames + 5 && track.drawn !== false && track;
    });
  }

  /** Waits until sound with energy arrives. */
  async hears(identity) {
    const { energy } = await this.track(identity, 'microphone');
    return until(`${this} hears ${identity}`, async () => {
      const track = await this.track(identity, 'microphone');
      return track.energy > (energy ?? 0) && track;
    });
  }

  toString() {
    return `${this.identity} (${this.kind})`;
  }
}

class BrowserClient extends Client {
  constructor(kind, identity, page) {
    super(kind, identity);
    this.page = page;
    page.on('pageerror', (error) => process.stderr.write(`${this}: ${error.message}\n`));
  }

  call(method, params) {
    // Both drivers evaluate a function with arguments; Playwright takes one, so it is a pair.
    return this.page.evaluate(([name, values]) => window.call(name, values), [method, params]);
  }

  /** Shows this tab: browsers stop drawing, and some decoding, in tabs behind it. */
  async show() {
    await this.page.bringToFront();
  }

  async close() {
    await this.call('disconnect', {}).catch(() => {});
    await this.page.close();
    if (this.kind === 'chromium') await this.page.context().close();
  }
}

/** A child process that takes calls as JSON lines on standard input and answers likewise. */
class NativeClient extends Client {
  #waiting = new Map();
  #next = 1;

  constructor(kind, identity, authority, namespace) {
    super(kind, identity);
    const [runs, script] = kind === 'python' ? [PYTHON, 'client.py'] : [process.execPath, 'client.mjs'];
    const [program, ...args] = inside(namespace, [runs, join(HERE, 'native', script)]);
    const env = { ...process.env, ...(authority ? { SSL_CERT_FILE: authority } : {}) };
    this.child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
    this.child.stderr.pipe(createWriteStream(join(ARTIFACTS, `client-${kind}-${identity}.log`), { flags: 'a' }));
    this.child.stdin.on('error', () => {});
    createInterface({ input: this.child.stdout }).on('line', (line) => this.#answered(line));
    this.ended = new Promise((resolve) => this.child.once('close', resolve));
    this.ended.then(() => this.#fail(new Error(`${this} has ended`)));
  }

  call(method, params) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${this} did not answer ${method}`)), ANSWER_MS);
      this.#waiting.set(id, { resolve, reject, timer });
      this.child.stdin.write(`${JSON.stringify({ id, method, params })}\n`);
    });
  }

  #answered(line) {
    if (!line.startsWith('{"id"')) return;
    const { id, result, error } = JSON.parse(line);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    clearTimeout(waiting?.timer);
    if (error) waiting?.reject(new Error(`${this}: ${error}`));
    else waiting?.resolve(result);
  }

  #fail(error) {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#waiting.clear();
  }

  async show() {}

  async close() {
    this.child.stdin.end();
    const killer = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
    await this.ended;
    clearTimeout(killer);
  }
}
