// A cable between one browser and the server's media ports, in user space: it loses, delays,
// reorders, repeats and queues datagrams, each direction by itself. Chance is seeded, so that a
// run's pattern of losses can be had again (traffic itself differs by what browsers do).
//
// The browser is told the cable's addresses instead of the server's (`through` in page/client.mjs),
// as a router with a forwarded port would have it; the server sees the cable's.

import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import { NETWORK, SERVER_IP } from './settings.mjs';

/** Where browsers reach the cable: Firefox does no ICE on loopback. */
const HERE_IP = NETWORK?.clientIp ?? '127.0.0.1';
/** Between which addresses of ours a cable for browsers lies, and where the server is. */
const TO_SERVER = { near: HERE_IP, far: HERE_IP, server: SERVER_IP };

/**
 * What a direction does to datagrams unless told otherwise: `loss` and `repeat` are shares of
 * them, times are in milliseconds, `rate` is in bits per second, `queueMs` bounds how long one
 * may wait for it. `jitter` is added to `delay`, evenly spread; only with `overtake` may it
 * change the order.
 */
const CLEAN = { loss: 0, delay: 0, jitter: 0, rate: Infinity, queueMs: 200, repeat: 0, overtake: false };

/** Numbers from 0 to 1 that depend on the seed only (mulberry32). */
function chance(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** One direction: decides when a datagram leaves, and hands it on then. */
class Direction {
  #waiting = [];
  #timer = null;
  #free = 0;
  #last = 0;
  #chance;

  constructor(seed) {
    this.#chance = chance(seed);
    this.settings = { ...CLEAN };
    this.count = { arrived: 0, bytes: 0, lost: 0, overflown: 0, repeated: 0 };
  }

  carry(bytes, send) {
    const { settings, count } = this;
    const now = performance.now();
    count.arrived += 1;
    count.bytes += bytes.length;
    // Both are drawn for each datagram, so that one setting does not shift the pattern of another.
    const [lost, repeated, early] = [this.#chance(), this.#chance(), this.#chance()];
    if (lost < settings.loss) {
      count.lost += 1;
      return;
    }
    const begins = Math.max(now, this.#free);
    if (begins - now > settings.queueMs) {
      count.overflown += 1;
      return;
    }
    this.#free = begins + (bytes.length * 8000) / settings.rate;
    let due = this.#free + settings.delay + early * settings.jitter;
    if (!settings.overtake) due = Math.max(due, this.#last);
    this.#last = Math.max(due, this.#last);
    this.#wait(due, bytes, send);
    if (repeated < settings.repeat) {
      count.repeated += 1;
      this.#wait(due, bytes, send);
    }
  }

  stop() {
    clearTimeout(this.#timer);
    this.#waiting = [];
  }

  #wait(due, bytes, send) {
    let index = this.#waiting.length;
    while (index > 0 && this.#waiting[index - 1].due > due) index -= 1;
    this.#waiting.splice(index, 0, { due, bytes, send });
    this.#release();
  }

  #release() {
    const now = performance.now();
    while (this.#waiting.length > 0 && this.#waiting[0].due <= now) {
      const { bytes, send } = this.#waiting.shift();
      send(bytes);
    }
    clearTimeout(this.#timer);
    if (this.#waiting.length > 0) {
      this.#timer = setTimeout(() => this.#release(), this.#waiting[0].due - now);
    }
  }
}

/** A cable that is plugged in; to be made by `plugCable`. */
class Cable {
  #sockets = [];
  #streams = [];
  #way;
  /** The server's media addresses, and at which addresses of the cable they are found. */
  through = {};

  constructor(seed, way) {
    this.seed = seed;
    this.#way = way;
    /** What the browser sends, and what the server does. */
    this.up = new Direction(seed);
    this.down = new Direction(seed ^ 0x5f3759df);
  }

  /** Changes both directions, or `{ up: …, down: … }` each. */
  set({ up = {}, down = {}, ...both }) {
    Object.assign(this.up.settings, both, up);
    Object.assign(this.down.settings, both, down);
  }

  /**
   * One port of the server gets a socket here, of any port or of `nearPort`, and each browser socket
   * that uses it another.
   */
  async forward(port, nearPort = 0) {
    const { near: nearIp, far, server } = this.#way;
    const flows = new Map();
    const near = await this.#socket((bytes, from) => {
      const name = `${from.address}:${from.port}`;
      if (!flows.has(name)) {
        const toBrowser = (datagram) => near.send(datagram, from.port, from.address);
        flows.set(name, this.#socket((datagram) => this.down.carry(datagram, toBrowser), far));
      }
      this.up.carry(bytes, async (datagram) => (await flows.get(name)).send(datagram, port, server));
    }, nearIp, nearPort);
    this.through[`${server}:${port}`] = `${nearIp}:${near.address().port}`;
  }

  /** TCP of one port of the server: as late as datagrams, but nothing is lost and room for all. */
  async forwardTcp(port) {
    const { near, server: ip } = this.#way;
    const server = createServer((here) => {
      const there = connect(port, ip);
      for (const [from, to, direction] of [[here, there, this.up], [there, here, this.down]]) {
        const later = (run) => setTimeout(run, direction.settings.delay);
        this.#streams.push(from);
        from.on('data', (bytes) => later(() => to.write(bytes)));
        from.on('end', () => later(() => to.end()));
        from.on('error', () => to.destroy());
      }
    });
    this.#streams.push({ destroy: () => server.close() });
    await new Promise((resolve, reject) => server.once('error', reject).listen(port, near, resolve));
  }

  async #socket(onMessage, address, port = 0) {
    const socket = createSocket('udp4');
    this.#sockets.push(socket);
    socket.on('message', onMessage);
    // A browser that has closed its socket: what was on the way to it is nobody's.
    socket.on('error', () => {});
    await new Promise((resolve) => socket.bind(port, address, resolve));
    return socket;
  }

  toString() {
    const way = ({ count }) => `${count.arrived} datagrams, ${count.lost} lost, ${count.overflown} overflown, ${count.repeated} repeated`;
    return `cable with seed ${this.seed}: up ${way(this.up)}; down ${way(this.down)}`;
  }

  unplug() {
    this.up.stop();
    this.down.stop();
    this.#sockets.forEach((socket) => socket.close());
    for (const stream of this.#streams) stream.destroy();
  }
}

/** A clean cable to `server`'s media ports, `workers` of them. The caller unplugs it. */
export async function plugCable(server, { workers, seed }) {
  const cable = new Cable(seed, TO_SERVER);
  for (let index = 0; index < workers; index += 1) await cable.forward(server.mediaPort + index);
  return cable;
}

/**
 * A clean cable by which a server finds another one: both are at places of their own. The other one
 * has to say that its public address is `from.place.testsIp`; by that it is dialled. The caller
 * unplugs it.
 */
export async function plugSites(from, to, { seed }) {
  const cable = new Cable(seed, { near: from.place.testsIp, far: to.place.testsIp, server: to.place.ip });
  // Media between servers go to their first worker.
  await cable.forward(to.mediaPort, to.mediaPort);
  await cable.forwardTcp(to.port);
  return cable;
}
