// A site behind a router that nobody reaches from outside, linked to one behind a reverse proxy.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { masquerade, passed, passNoUdp } from '../lib/network.mjs';
import { missing } from '../lib/settings.mjs';
import { linked, sites } from '../lib/sites.mjs';
import { startTraefik } from '../lib/traefik.mjs';
import { sleep, until } from '../lib/wait.mjs';

const PREFIX = '/umbrella';

const skip = missing('chromium', 'python', 'network');
const things = sites('nat', ['hut', 'cloud'], [], {
  cables: [['hut', 'router'], ['cloud', 'router']],
  env: (site, { cloud }) => (site === 'cloud'
    ? { UMBRELLA_CLOUD: '1', UMBRELLA_HTTP_PREFIX: PREFIX, UMBRELLA_PUBLIC_IP: cloud.cables.router.ip }
    : {}),
});

describe('a site behind a router and one behind a reverse proxy', { skip }, () => {
  let address;
  let proxy;
  let unblock;
  before(async () => {
    const { hut, cloud, router } = things.places;
    masquerade(router, { within: hut, without: cloud });
    proxy = await startTraefik(things.servers[1]);
    address = `${cloud.cables.router.ip}:${proxy.port}${PREFIX}`;
  });
  after(async () => {
    unblock?.();
    await proxy?.stop();
  });

  /** Enters the proxy's address as its operator would have it, and vouches for its certificate. */
  async function dial() {
    const [hut, cloud] = things.servers;
    const state = () => linked(hut, `https://${address}`);
    const secret = await cloud.command('trunk', 'allow', '--name', 'hut');
    await hut.command('trunk', 'add', `wss://${address}/wsb`, '--secret', secret);
    const { fingerprint } = await until('the proxy\'s certificate is shown', async () => {
      const entry = await state();
      return entry.state === 'confirm' && entry;
    });
    await hut.command('trunk', 'confirm', `https://${address}`, '--fingerprint', fingerprint);
    await until('the sites are linked', async () => (await state()).state === 'connected');
  }

  async function meet() {
    const room = things.newRoom();
    const [ann, bob] = await Promise.all(['ann', 'bob'].map((name, site) => things.clients[site].join('chromium', room, name)));
    const start = performance.now();
    await Promise.all([ann, bob].map((who) => who.publish({ camera: true, microphone: true, maxBitrate: 300_000 })));
    await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann'), ann.hears('bob'), bob.hears('ann')]);
    return Math.round(performance.now() - start);
  }

  test('people meet though nothing is opened in the router', async (t) => {
    await dial();
    t.diagnostic(`media both ways after ${await meet()} ms`);
  });

  test('people meet through a router that passes no UDP', async (t) => {
    const { hut, router } = things.places;
    unblock = passNoUdp(router);
    await things.servers[0].command('trunk', 'remove', `https://${address}`);
    await dial();
    t.diagnostic(`media both ways after ${await meet()} ms`);
    const before = passed(hut, router);
    await sleep(2_000);
    const kbits = ((passed(hut, router).bytes - before.bytes) * 8) / 2_000;
    t.diagnostic(`${Math.round(kbits)} kbit/s over TCP`);
    assert.ok(kbits > 100, 'media do not pass the router');
  });
});
