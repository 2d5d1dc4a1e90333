// A narrow link between two sites: what does not fit is smaller or said to be paused.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { plugSites } from '../lib/cable.mjs';
import { missing } from '../lib/settings.mjs';
import { link, sites } from '../lib/sites.mjs';
import { sleep, until } from '../lib/wait.mjs';

const SEED = 77;
const NARROW = { rate: 2_000_000, delay: 40, loss: 0.01, queueMs: 300 };
const WORKERS = 2;
const NAMES = ['ann', 'ben', 'cat', 'dan'];
/** Of what is sent: twice what the link carries. Larger pictures take more than two processors, and sound then suffers for that. */
const HEIGHT = 360;
const MAX_BITRATE = 1_000_000;

const skip = missing('chromium', 'network');
const things = sites('cable', ['hut', 'cloud'], [], {
  cables: [],
  env: (site, { hut }) => (site === 'cloud' ? { UMBRELLA_PUBLIC_IP: hut.testsIp, UMBRELLA_WORKERS: `${WORKERS}` } : {}),
});

describe('four pictures over a link for one of them', { skip }, () => {
  let cable;
  before(async () => {
    const [hut, cloud] = things.servers;
    cable = await plugSites(hut, cloud, { seed: SEED });
    await link(hut, cloud, cloud.originAt(hut.place.testsIp));
  });
  after(() => cable?.unplug());

  test('sound is whole, and each picture moves or is said to be paused', async (t) => {
    const [hut, cloud] = things.clients;
    const room = things.newRoom();
    cable.set(NARROW);
    const people = await Promise.all(NAMES.map((name) => hut.join('chromium', room, name, { autoSubscribe: false })));
    await Promise.all(people.map((who, index) => who.publish({
      camera: true, busy: true, microphone: index === 0, width: 640, height: HEIGHT, frameRate: 10, simulcast: true,
      maxBitrate: MAX_BITRATE,
    })));
    // The viewer reaches its own site directly, not at the address that is the cable's.
    const { place, mediaPort } = things.servers[1];
    const own = Array.from({ length: WORKERS }, (_, index) => `${place.ip}:${mediaPort + index}`);
    const through = Object.fromEntries(own.map((address) => [address, address]));
    const bob = await cloud.join('chromium', room, 'bob', { through });
    await bob.hears('ann');
    const look = async () => {
      const { participants } = await bob.snapshot();
      return NAMES.map((name) => participants[name]?.tracks.camera ?? {});
    };
    // Until the link's estimate has found its place.
    await sleep(20_000);
    const [first, before] = [await look(), cable.up.count.bytes];
    const { concealedSamples, silentConcealedSamples, totalSamplesReceived } =
      await bob.watch({ identity: 'ann', source: 'microphone', seconds: 10 });
    const last = await look();
    const madeUp = (concealedSamples - silentConcealedSamples) / totalSamplesReceived;
    const seen = last.map(({ height, frames, paused }, at) => `${height}p ${frames - first[at].frames} pictures${paused ? ', paused' : ''}`);
    t.diagnostic(`${seen.join('; ')}; ${(madeUp * 100).toFixed(1)} % of the sound made up`);
    t.diagnostic(`${Math.round(((cable.up.count.bytes - before) * 8) / 10_000)} kbit/s; ${cable}`);
    assert.ok(madeUp < 0.05, 'the sound suffers for pictures');
    assert.ok(last.some(({ height, paused }) => height < HEIGHT || paused), 'all of it fits: nothing is tested');
    for (const [at, { frames, paused }] of last.entries()) {
      const moves = frames > first[at].frames + 5;
      assert.ok(moves || (paused && first[at].paused), `${NAMES[at]}'s picture stands still and nobody says why`);
    }
    cable.set({ rate: 20_000_000, loss: 0 });
    const widened = performance.now();
    await until('no picture is paused', async () => (await look()).every((track) => !track.paused));
    await Promise.all(NAMES.map((name) => bob.seesMoving(name)));
    t.diagnostic(`all move ${Math.round(performance.now() - widened)} ms after the link got wide`);
  });
});
