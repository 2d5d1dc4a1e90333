// A server behind a home router that learns by STUN, from another Umbrella, how it is reached outside.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Admin } from '../lib/admin.mjs';
import { makePlaces, masquerade, readdress, removePlaces } from '../lib/network.mjs';
import { startServer } from '../lib/server.mjs';
import { missing, NETWORK } from '../lib/settings.mjs';
import { until } from '../lib/wait.mjs';

const skip = missing('network');
/** Rounds of questions are 20 s apart, and one of them may be just over. */
const WAIT = { ms: 70_000 };
const admins = {};

/** The addresses that a server advertises for media, each once. */
async function advertised(server) {
  admins[server.name] ??= await Admin.setUp(server, 'a password for tests');
  const { mediaAddresses } = await admins[server.name].call('GET', '/status');
  return [...new Set(mediaAddresses.map((text) => /^(?:udp|tcp) (.+):\d+$/.exec(text)[1]))];
}

describe('a server that asks how it is seen from outside', { skip, concurrency: true }, () => {
  const routers = [
    { router: 'keeper', hut: 'hut', steady: true },
    { router: 'mixer', hut: 'cabin', steady: false },
  ];
  let places;
  let cloud;
  const servers = [];

  async function start(name, env) {
    const server = await startServer(`addresses-${name}`, env, 0, places[name]);
    servers.push(server);
    return server;
  }

  before(async () => {
    const cables = routers.flatMap(({ router, hut }) => [[hut, router], ['cloud', router]]);
    places = makePlaces(NETWORK, [...new Set(['island', ...cables.flat()])], cables);
    for (const { router, hut, steady } of routers) {
      masquerade(places[router], { within: places[hut], without: places.cloud, steady });
    }
    cloud = await start('cloud', {});
  });
  after(async () => {
    for (const server of servers) await server.stop();
    if (places) removePlaces(places);
  });

  for (const { router, hut, steady } of routers) {
    test(`it advertises what only its own network reaches, behind a router that ${steady ? 'keeps ports' : 'uses others'}`, async () => {
      const outside = places[router].cables.cloud.ip;
      const there = places.cloud.cables[router].ip;
      // Nobody answers at the first one.
      const stun = [`stun:${there}:9`, `stun:${there}:${cloud.mediaPort}`];
      const server = await start(hut, { UMBRELLA_PUBLIC_IP: stun.join(','), UMBRELLA_ADVERTISE_LAN: '0' });
      await until('the public address is known', async () => (await advertised(server)).includes(outside), WAIT);
      assert.deepEqual(await advertised(server), [outside], 'others are advertised too');
      assert.match(server.log(), /Media {4}UDP .*\n +at \S+ \(by STUN\)\n/, 'the start message does not know it');
      await until('the dead server is named', () => server.log().includes(`server=${stun[0]}`), WAIT);
      assert.equal(server.log().includes('uses other ports than ours'), !steady);

      const next = readdress(places[router], places.cloud, 9);
      await until('the new address is advertised', async () => (await advertised(server)).includes(next), WAIT);
      assert.deepEqual(await advertised(server), [next], 'the old one is advertised still');
      assert.match(server.log(), new RegExp(`addresses="?${next.replaceAll('.', '\\.')} \\(by STUN\\)`));
    });
  }

  test('it does not start, or keeps silent, where nobody answers', async () => {
    const server = await start('island', { UMBRELLA_PUBLIC_IP: 'stun:192.0.2.1:3478' });
    await until('it says so', () => server.log().includes('cannot learn the public address'), WAIT);
    assert.ok((await advertised(server)).includes(places.island.ip));
  });
});
