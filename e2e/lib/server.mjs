// One running server: free ports, a data directory of its own, its log among the artifacts.

import { spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inside } from './network.mjs';
import { ARTIFACTS, BINARY, NETWORK, SERVER_IP } from './settings.mjs';
import { until } from './wait.mjs';

/** The API key that every test server knows. */
export const API_KEY = 'e2ekey';
export const API_SECRET = 'e2e-secret-of-at-least-thirty-two-bytes';

/** Where servers are unless a test says something else. */
export const USUAL = { namespace: NETWORK?.server, ip: SERVER_IP };

/** How long the server may take to end after SIGTERM: its own promise, with slack for the machine. */
const END_MS = 8_000;

/** A TCP port that is free now. In a namespace of our own any fixed one is. */
export async function freePort(preferred) {
  if (NETWORK) return preferred;
  const probe = createServer();
  await new Promise((resolve, reject) => probe.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/**
 * Starts a server and waits until it accepts; `name` names its log, `index` tells several apart at
 * one `place`. `env` may be made of its port.
 */
export async function startServer(name, env = {}, index = 0, place = USUAL) {
  const port = await freePort(8081 + index);
  const made = typeof env === 'function' ? await env(port) : env;
  const server = new Server(name, port, await freePort(40_000 + 100 * index), made, place);
  try {
    await server.start();
  } catch (error) {
    server.child.kill('SIGKILL');
    throw error;
  }
  return server;
}

class Server {
  constructor(name, port, mediaPort, env, place) {
    this.name = name;
    this.place = place;
    this.port = port;
    this.mediaPort = mediaPort;
    this.data = mkdtempSync(join(tmpdir(), 'umbrella-e2e-'));
    this.secure = env.UMBRELLA_CLOUD !== '1';
    this.prefix = env.UMBRELLA_HTTP_PREFIX ?? '';
    this.logFile = join(ARTIFACTS, `server-${name}.log`);
    this.env = {
      PATH: process.env.PATH,
      HOME: this.data,
      RUST_BACKTRACE: '1',
      UMBRELLA_DATA_DIR: join(this.data, 'state'),
      UMBRELLA_HTTP_SERVE_ADDR: `${place.cables ? '0.0.0.0' : place.ip}:${port}`,
      UMBRELLA_MIN_PORT: `${mediaPort}`,
      UMBRELLA_MAX_PORT: `${mediaPort + 16}`,
      UMBRELLA_KEYS: `${API_KEY}: ${API_SECRET}`,
      // Servers of other tests are nobody's neighbours.
      UMBRELLA_MDNS: '0',
      ...(NETWORK ? {} : { UMBRELLA_PUBLIC_IP: place.ip }),
      ...env,
    };
  }

  /** `https://…`, without a slash at the end and without the prefix. */
  get origin() {
    return this.originAt(this.place.ip);
  }

  /** The same by another of its addresses. */
  originAt(ip) {
    return `${this.secure ? 'https' : 'http'}://${ip}:${this.port}`;
  }

  /** `origin` with the prefix. */
  get url() {
    return this.origin + this.prefix;
  }

  /** What client SDKs connect to. */
  get ws() {
    return this.url.replace(/^http/, 'ws');
  }

  async start() {
    const [program, ...args] = inside(this.place.namespace, [BINARY]);
    this.child = spawn(program, args, { env: this.env, cwd: this.data, stdio: ['ignore', 'pipe', 'pipe'] });
    // A restarted server goes on where the last one ended.
    const log = createWriteStream(this.logFile, { flags: this.started ? 'a' : 'w' });
    this.started = true;
    this.child.stdout.pipe(log, { end: false });
    this.child.stderr.pipe(log, { end: false });
    this.ended = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => resolve({ code, signal }));
      this.child.once('error', (error) => resolve({ error }));
    });
    let gone;
    this.ended.then((how) => { gone = how; });
    await until('the server is ready', async () => {
      if (gone) return true;
      return (await this.get('/readyz')).status === 200;
    }, { every: 30 });
    if (gone) throw new Error(`the server ended at once (${JSON.stringify(gone)}):\n${this.log()}`);
  }

  /** GET below the prefix (or `outside` it), certificates unchecked. */
  get(path, options = {}) {
    return this.request('GET', path, options);
  }

  request(method, path, { headers = {}, body, outside = false } = {}) {
    const request = this.secure ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const url = new URL((outside ? this.origin : this.url) + path);
      const outgoing = request(url, { method, headers, rejectUnauthorized: false, timeout: 5_000 }, (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const bytes = Buffer.concat(chunks);
          resolve({ status: response.statusCode, headers: response.headers, bytes, text: bytes.toString() });
        });
      });
      outgoing.on('timeout', () => outgoing.destroy(new Error('timed out')));
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  /** The path of the server's own certificate authority, for clients that check certificates. */
  async authority() {
    if (!this.secure) return null;
    const { bytes, status } = await this.get('/ca.crt');
    if (status !== 200) throw new Error(`GET /ca.crt answered ${status}`);
    const file = join(this.data, 'ca.pem');
    const isPem = bytes.subarray(0, 5).toString() === '-----';
    const der = () => `-----BEGIN CERTIFICATE-----\n${bytes.toString('base64').replace(/(.{64})/g, '$1\n')}\n-----END CERTIFICATE-----\n`;
    writeFileSync(file, isPem ? bytes : der());
    return file;
  }

  /** Runs a subcommand against this server; standard output without the line's end. */
  async command(...args) {
    // A Unix socket in the data directory: works from any network namespace.
    const child = spawn(BINARY, args, { env: this.env, cwd: this.data, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk) => { out += chunk; });
    child.stderr.on('data', (chunk) => { err += chunk; });
    const code = await new Promise((resolve, reject) => child.once('close', resolve).once('error', reject));
    if (code !== 0) throw new Error(`umbrella ${args.join(' ')} ended with ${code}: ${err}`);
    return out.trimEnd();
  }

  /** Everything that the server has said so far. */
  log() {
    return readFileSync(this.logFile, 'utf8');
  }

  /** Resident memory in MiB. */
  residentMib() {
    return this.memory('VmRSS');
  }

  /** The most that has been resident, in MiB. */
  peakMib() {
    return this.memory('VmHWM');
  }

  memory(what) {
    // `ip netns exec` replaces itself by the server, so the child is the server.
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'utf8');
    return Number(new RegExp(`${what}:\\s+(\\d+)`).exec(status)[1]) / 1024;
  }

  /** Sends a signal that ends it, and waits until it has: `code`, or `signal` if that killed it. */
  async end(signal) {
    this.child.kill(signal);
    const killer = setTimeout(() => this.child.kill('SIGKILL'), END_MS);
    const how = await this.ended;
    clearTimeout(killer);
    return how;
  }

  /** Ends it as an operator would and fails if it did not end well. */
  async stop() {
    const start = Date.now();
    const how = await this.end('SIGTERM');
    rmSync(this.data, { recursive: true, force: true });
    const log = this.log();
    if (log.includes('panicked')) throw new Error(`the server panicked, see ${this.logFile}`);
    if (how.code !== 0) throw new Error(`the server ended with ${JSON.stringify(how)} after ${Date.now() - start} ms`);
  }
}
