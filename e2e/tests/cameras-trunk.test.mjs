// A camera at one site that is watched at another one.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { addCamera, cameraOf, isNow, startCamera } from '../lib/camera.mjs';
import { passed } from '../lib/network.mjs';
import { missing } from '../lib/settings.mjs';
import { sites } from '../lib/sites.mjs';
import { sleep, until } from '../lib/wait.mjs';

const skip = missing('chromium', 'network');
const things = sites('cameras-trunk', ['hut', 'cloud'], [[0, 1]], { cables: [['hut', 'cloud'], ['hut', 'yard']] });

/** What three copies would be far beyond, and one with its sound, its feedback and the link's own words is not. */
const ONE_COPY = 1.5;

/** How long a camera stays connected that nobody watches (ms), and how much longer than that is a fault. */
const LINGER = 10_000;
const SLACK = 10_000;

describe('a camera at the access point', { skip }, () => {
  test('crosses the link once for three viewers in the cloud, and is let go after the last', async (t) => {
    const [hut] = things.servers;
    const { hut: here, cloud: there, yard } = things.places;
    const room = things.newRoom();
    const camera = await startCamera({
      name: 'camera-trunk',
      place: { ...yard, ip: yard.cables.hut.ip },
      streams: { '/main': { pattern: 'snow', width: 320, height: 180, bitrate: 1000, audio: 'pcmu' } },
    });
    try {
      const id = await addCamera(hut, camera.url('/main'), { name: 'Gate', room });
      await isNow(hut, 'Gate', 'idle');
      const begin = Date.now();
      const viewers = await Promise.all(['ann', 'bob', 'cat'].map((name) => things.clients[1].join('chromium', room, name)));
      await Promise.all(viewers.map(async (viewer) => {
        await viewer.seesMoving(id);
        await viewer.hears(id);
      }));
      t.diagnostic(`three browsers have joined and see it move after ${Date.now() - begin} ms`);
      await sleep(3_000);
      const [first, from] = [passed(here, there), passed(here, yard)];
      await sleep(6_000);
      const ratio = (passed(here, there).bytes - first.bytes) / (passed(here, yard).bytes - from.bytes);
      t.diagnostic(`the link carries ${ratio.toFixed(2)} times what the camera sends`);
      assert.ok(ratio > 0.5 && ratio < ONE_COPY, `${ratio}`);

      const [ann, ...others] = viewers;
      await Promise.all(others.map((viewer) => viewer.disconnect()));
      await sleep(LINGER + SLACK / 2);
      assert.equal((await cameraOf(hut, 'Gate')).state, 'live', 'somebody still watches');
      await ann.seesMoving(id);
      await ann.disconnect();
      const left = Date.now();
      await isNow(hut, 'Gate', 'idle');
      const idle = Date.now() - left;
      t.diagnostic(`disconnected ${idle} ms after the last had left`);
      assert.ok(idle > LINGER / 2 && idle < LINGER + SLACK, `${idle} ms`);
      await until('nothing more comes of it', async () => {
        const before = passed(here, yard).packets;
        await sleep(1_000);
        return passed(here, yard).packets - before < 3;
      });
    } finally {
      await camera.stop();
      await hut.command('camera', 'remove', 'Gate');
    }
  });
});
