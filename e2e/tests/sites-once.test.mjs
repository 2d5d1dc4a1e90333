// What a link between two sites carries: nothing while nobody looks, and each track once.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { passed } from '../lib/network.mjs';
import { missing } from '../lib/settings.mjs';
import { sites } from '../lib/sites.mjs';
import { sleep, until } from '../lib/wait.mjs';

/** In kbit/s. The sound of one microphone alone is more than the first. */
const [IDLE, MEDIA] = [2, 200];

const things = sites('once', ['hut', 'cloud'], [[0, 1]], { cables: [['hut', 'cloud']] });

/** What passes the cable within so many seconds, by the kernel's counters: in kbit/s, all headers included. */
async function rate(seconds) {
  const { hut, cloud } = things.places;
  const [start, before] = [performance.now(), passed(hut, cloud)];
  await sleep(seconds * 1000);
  const after = passed(hut, cloud);
  const passedMs = performance.now() - start;
  return { kbits: ((after.bytes - before.bytes) * 8) / passedMs, packets: after.packets - before.packets };
}

describe('a link between two sites', { skip: missing('chromium', 'network') }, () => {
  test('carries nothing while nobody looks, and each track once however many do', async (t) => {
    const [hut, cloud] = things.clients;
    const room = things.newRoom();
    const say = (what, { kbits, packets }) => t.diagnostic(`${what}: ${kbits.toFixed(2)} kbit/s, ${packets} packets`);
    const ann = await hut.join('chromium', room, 'ann', { dynacast: true });
    await ann.publish({ camera: true, microphone: true, maxBitrate: 500_000 });
    await until('nobody asks ann for pictures', async () => (await ann.sends({ source: 'camera' })).length === 0);
    // Addresses of the other site that lead nowhere are tried for some seconds.
    await sleep(10_000);
    // What says that the link is alive comes every two, three and ten seconds: ten seconds alone hold
    // one of each more or less.
    const idle = await rate(30);
    say('nobody there', idle);
    assert.ok(idle.kbits <= IDLE, 'media passes though nobody is there');

    const names = ['bob', 'cat', 'dan'];
    const look = async (name) => {
      const viewer = await cloud.join('chromium', room, name, { dynacast: true });
      await Promise.all([viewer.seesMoving('ann'), viewer.hears('ann')]);
      return viewer;
    };
    const viewers = [await look(names[0])];
    await sleep(6_000);
    const one = await rate(10);
    say('one viewer', one);
    viewers.push(await look(names[1]), await look(names[2]));
    await sleep(3_000);
    const three = await rate(10);
    say('three viewers', three);
    assert.ok(one.kbits > MEDIA, 'too little for a picture');
    assert.ok(three.kbits <= one.kbits * 1.2, 'more viewers cost more of the link');

    await Promise.all(viewers.map((viewer) => viewer.disconnect()));
    const left = performance.now();
    await until('media stops', async () => (await rate(1)).kbits < 20, { ms: 8_000 });
    t.diagnostic(`media stopped within ${Math.round(performance.now() - left)} ms`);
    await until('ann stops sending', async () => (await ann.sends({ source: 'camera' })).length === 0);
    t.diagnostic(`ann stopped sending within ${Math.round(performance.now() - left)} ms`);
    say('all have left', await rate(5));
  });
});
