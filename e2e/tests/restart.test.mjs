// The server goes and comes back, as after an upgrade or a power cut: calls go on by themselves.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Clients } from '../lib/clients.mjs';
import { startServer } from '../lib/server.mjs';
import { missing } from '../lib/settings.mjs';
import { TOPOLOGIES } from '../lib/suite.mjs';
import { until } from '../lib/wait.mjs';

const WAYS = [
  { how: 'is told to end', signal: 'SIGTERM' },
  { how: 'dies', signal: 'SIGKILL' },
];

describe('people in a call', { skip: missing('chromium', 'python') }, () => {
  let server;
  let clients;
  before(async () => {
    server = await startServer('restart');
    clients = new Clients(server);
  });
  // One that fails leaves nobody behind who would keep the next from its processor time.
  afterEach(() => clients.clear());
  after(async () => {
    await clients?.close();
    await server?.stop();
  });

  for (const { how, signal } of WAYS) {
    for (const { single, called } of TOPOLOGIES) {
      test(`come back by themselves when the server ${how}, by ${called}`, async (t) => {
        const room = `${signal}-${single}`;
        const [ann, bob] = await Promise.all([
          clients.join('chromium', room, 'ann', { single }),
          clients.join('python', room, 'bob', { single }),
        ]);
        await Promise.all([ann.publish({ camera: true, microphone: true }), bob.publish({ camera: true, microphone: true })]);
        await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann')]);

        const { code } = await server.end(signal);
        if (signal === 'SIGTERM') assert.equal(code, 0);
        const down = Date.now();
        await server.start();
        await until('both are back', async () => {
          const all = await Promise.all([ann, bob].map((person) => person.snapshot()));
          return all.every(({ state, participants }) => state === 'connected' && Object.keys(participants).length === 1);
        });
        t.diagnostic(`back ${Date.now() - down} ms after the server`);
        await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann'), ann.hears('bob'), bob.hears('ann')]);
        for (const person of [ann, bob]) assert.equal((await person.snapshot()).disconnected, null);
      });
    }
  }
});
