// A server and clients for the tests of one file.

import { after, afterEach, before } from 'node:test';
import { Clients } from './clients.mjs';
import { startServer } from './server.mjs';

/**
 * Starts a server before the file's tests, ends the clients after each of them and the server
 * after all: that it ended well is checked too. The answer's fields are there once tests run.
 */
export function suite(name, env = {}) {
  const things = { server: null, clients: null, room: '' };
  let count = 0;
  before(async () => {
    things.server = await startServer(name, env);
    things.clients = new Clients(things.server);
  });
  afterEach(async () => {
    await things.clients.clear();
  });
  after(async () => {
    await things.clients?.close();
    await things.server?.stop();
  });
  /** A room that no other test uses. */
  things.newRoom = () => `${name}-${(count += 1)}`;
  return things;
}

/** Both ways to connect: one peer connection for everything, or one for each direction. */
export const TOPOLOGIES = [
  { single: true, called: 'one peer connection' },
  { single: false, called: 'two peer connections' },
];

/** Two people see and hear each other. */
export async function meet(clients, [a, b], room, options) {
  const [ann, bob] = await Promise.all([clients.join(a, room, 'ann', options), clients.join(b, room, 'bob', options)]);
  await Promise.all([ann.publish({ camera: true, microphone: true }), bob.publish({ camera: true, microphone: true })]);
  await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann'), ann.hears('bob'), bob.hears('ann')]);
  return [ann, bob];
}
