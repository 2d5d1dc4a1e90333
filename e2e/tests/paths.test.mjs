// The ways through networks: TCP alone, a reverse proxy with a path prefix, plain HTTP behind one.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Clients } from '../lib/clients.mjs';
import { blockUdp } from '../lib/network.mjs';
import { startServer } from '../lib/server.mjs';
import { missing, NETWORK, SERVER_IP } from '../lib/settings.mjs';
import { suite, TOPOLOGIES } from '../lib/suite.mjs';
import { token } from '../lib/tokens.mjs';
import { startTraefik } from '../lib/traefik.mjs';

/** Two people see each other. */
async function meet(clients, [a, b], room, options) {
  const [ann, bob] = await Promise.all([clients.join(a, room, 'ann', options), clients.join(b, room, 'bob', options)]);
  await Promise.all([ann.publish({ camera: true, microphone: true }), bob.publish({ camera: true, microphone: true })]);
  await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann'), ann.hears('bob'), bob.hears('ann')]);
  return [ann, bob];
}

describe('TCP alone', { skip: missing('chromium', 'python', 'network') }, () => {
  const things = suite('tcp');
  let unblock;
  before(() => { unblock = blockUdp(NETWORK); });
  after(() => unblock?.());
  for (const { single, called } of TOPOLOGIES) {
    for (const pair of [['chromium', 'chromium'], ['chromium', 'python']]) {
      test(`${pair.join(' and ')} meet by ${called}`, async () => {
        const [ann] = await meet(things.clients, pair, things.newRoom(), { single });
        const { paths } = await ann.snapshot();
        assert.ok(paths.length > 0 && paths.every((path) => path === 'tcp'), `paths: ${paths}`);
      });
    }
  }
});

describe('plain HTTP, as behind a proxy', { skip: missing('chromium', 'python') }, () => {
  const things = suite('cloud', { UMBRELLA_CLOUD: '1', ...(NETWORK ? { UMBRELLA_PUBLIC_IP: SERVER_IP } : {}) });
  for (const { single, called } of TOPOLOGIES) {
    test(`a browser and a native client meet by ${called}`, async () => {
      await meet(things.clients, ['chromium', 'python'], things.newRoom(), { single });
    });
  }
});

describe('behind a path prefix through Traefik', { skip: missing('chromium', 'python') }, () => {
  let server;
  let clients;
  let proxy;
  before(async () => {
    server = await startServer('prefix', { UMBRELLA_CLOUD: '1', UMBRELLA_HTTP_PREFIX: '/umbrella' });
    proxy = await startTraefik(server);
    clients = new Clients({ ws: `wss://${SERVER_IP}:${proxy.port}/umbrella`, authority: async () => proxy.authority });
  });
  after(async () => {
    await clients?.close();
    await proxy?.stop();
    await server?.stop();
  });
  for (const { single, called } of TOPOLOGIES) {
    test(`browsers meet by ${called}`, async () => {
      await meet(clients, ['chromium', 'chromium'], `prefix-${single}`, { single });
    });
  }
  test('a native client meets a browser over plain HTTP', async () => {
    const [ann, bob] = [await clients.make('chromium', 'ann'), await clients.make('python', 'bob')];
    for (const client of [ann, bob]) {
      await client.connect({ url: `ws://${SERVER_IP}:${proxy.plainPort}/umbrella`, token: await token('prefix-plain', client.identity) });
    }
    await Promise.all([ann.publish({ camera: true }), bob.publish({ camera: true })]);
    await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann')]);
  });
  test('nothing answers outside the prefix', async () => {
    assert.equal((await server.get('/readyz')).status, 200);
    assert.equal((await server.get('/sfu', { outside: true })).status, 404);
  });
});
