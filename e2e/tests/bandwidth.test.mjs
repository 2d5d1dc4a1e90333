// Slow links: what people see who have one, and that the others notice nothing.

import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { plugCable } from '../lib/cable.mjs';
import { worstStall } from '../lib/pictures.mjs';
import { missing } from '../lib/settings.mjs';
import { suite } from '../lib/suite.mjs';
import { sleep, until } from '../lib/wait.mjs';

const WORKERS = 2;
/** In bits per second. */
const [WIDE, NARROW] = [5_000_000, 400_000];
const SEED = 41;

const things = suite('bandwidth', { UMBRELLA_WORKERS: `${WORKERS}` });
let cables = [];
afterEach(() => {
  for (const cable of cables) cable.unplug();
  cables = [];
});

async function joinByCable(room, identity, rate) {
  const cable = await plugCable(things.server, { workers: WORKERS, seed: SEED });
  cables.push(cable);
  cable.set({ delay: 20, down: { rate, queueMs: 300 } });
  const client = await things.clients.join('chromium', room, identity, { through: cable.through });
  return [client, cable];
}

/** Whether `fits` becomes true of two people's pictures of a third one, within so many milliseconds. */
async function becomes([who, other], whom, fits, ms) {
  const end = performance.now() + ms;
  while (performance.now() < end) {
    const [mine, theirs] = await Promise.all([who, other].map((person) => person.track(whom, 'camera')));
    if (mine.height && theirs.height && fits(mine.height, theirs.height)) return true;
    await sleep(100);
  }
  return false;
}

/** VP8 and H.264 in three encodings; VP9 and AV1 in one, in spatial layers. */
for (const codec of ['vp8', 'h264', 'vp9', 'av1']) {
  describe(`${codec} behind a link that gets slow`, { skip: missing('chromium') }, () => {
    test('a smaller picture comes, it does not freeze, and the large one is back afterwards', async (t) => {
      const room = things.newRoom();
      const [ann, eve] = await Promise.all(['ann', 'eve'].map((name) => things.clients.join('chromium', room, name)));
      const [bob, cable] = await joinByCable(room, 'bob', WIDE);
      const options = { camera: true, busy: true, width: 640, height: 360, simulcast: true, codec, maxBitrate: 900_000 };
      await ann.publish(options);
      await Promise.all([bob.seesMoving('ann'), eve.seesMoving('ann')]);
      // Encoders scale their pictures themselves, too, so the measure is what others get.
      const [both, large, small] = [[bob, eve], (mine, theirs) => mine >= theirs && theirs > 200, (mine, theirs) => mine < theirs];
      assert.ok(await becomes(both, 'ann', large, 30_000), 'a wide link does not get the largest picture');
      const { bytesReceived, packetsLost } = await bob.watch({ identity: 'ann', source: 'camera', seconds: 4 });
      t.diagnostic(`${Math.round((bytesReceived * 8) / 4_000)} kbit/s at first, ${packetsLost} packets lost`);
      const watching = Promise.all([bob, eve].map((who) => who.watch({ identity: 'ann', source: 'camera', seconds: 14 })));
      cable.set({ down: { rate: NARROW } });
      const narrowed = performance.now();
      assert.ok(await becomes(both, 'ann', small, 8_000), 'the link is crowded for ever');
      t.diagnostic(`smaller after ${Math.round(performance.now() - narrowed)} ms`);
      const [seen, others] = await watching;
      const worst = [seen, others].map(({ pictures }) => worstStall(pictures));
      const stalls = worst.map(({ longest }) => Math.round(longest));
      t.diagnostic(`stood still for ${stalls[0]} ms, without a slow link for ${stalls[1]} ms`);
      t.diagnostic(`from ${Math.round(worst[0].after)} ms on; lost: ${seen.packetsLost}, resends asked for: ${seen.nackCount}, `
        + `key frames asked for: ${seen.pliCount}, and come: ${seen.keyFramesDecoded}`);
      // The machine itself stands still at times: that shows in what the others see.
      assert.ok(stalls[0] < 1_000 + stalls[1], 'the picture freezes');
      assert.ok(!(await bob.track('ann', 'camera')).paused, 'the smallest picture fits');

      cable.set({ down: { rate: WIDE } });
      const widened = performance.now();
      assert.ok(await becomes(both, 'ann', large, 25_000), 'the picture stays small');
      t.diagnostic(`large again after ${Math.round(performance.now() - widened)} ms`);
    });
  });
}

describe('a link that carries next to nothing', { skip: missing('chromium') }, () => {
  test('the picture is said to be paused, sound goes on, and all is back afterwards', async (t) => {
    const room = things.newRoom();
    const ann = await things.clients.join('chromium', room, 'ann');
    const [bob, cable] = await joinByCable(room, 'bob', WIDE);
    await ann.publish({ camera: true, microphone: true, width: 640, height: 360, simulcast: false, maxBitrate: 600_000 });
    await Promise.all([bob.seesMoving('ann'), bob.hears('ann')]);
    cable.set({ down: { rate: 120_000 } });
    await until('somebody says that the picture is paused', async () => (await bob.track('ann', 'camera')).paused);
    await sleep(3_000);
    const heard = await bob.watch({ identity: 'ann', source: 'microphone', seconds: 5 });
    const madeUp = (heard.concealedSamples - heard.silentConcealedSamples) / heard.totalSamplesReceived;
    t.diagnostic(`${(madeUp * 100).toFixed(1)} % of the sound made up`);
    assert.ok(madeUp < 0.05, 'the sound suffers for a picture that is not even there');
    cable.set({ down: { rate: WIDE } });
    await until('the picture goes on', async () => !(await bob.track('ann', 'camera')).paused);
    await bob.seesMoving('ann');
  });
});

describe('nine pictures behind a link for some of them', { skip: missing('chromium') }, () => {
  test('each moves or is said to be paused, sound goes on, and all move afterwards', async (t) => {
    const room = things.newRoom();
    const names = Array.from({ length: 9 }, (_, index) => `guest${index}`);
    const guests = await Promise.all(names.map((name) => things.clients.join('chromium', room, name, { autoSubscribe: false })));
    await Promise.all(guests.map((guest, index) => guest.publish({
      camera: true, microphone: index === 0, width: 320, height: 180, maxBitrate: 150_000,
    })));
    const [bob, cable] = await joinByCable(room, 'bob', WIDE);
    const all = () => Promise.all(names.map((name) => bob.seesMoving(name)));
    await Promise.all([all(), bob.hears('guest0')]);
    cable.set({ down: { rate: 1_000_000 } });
    await sleep(8_000);
    const look = async () => {
      const { participants } = await bob.snapshot();
      return names.map((name) => participants[name].tracks.camera);
    };
    const [before, heard] = [await look(), bob.watch({ identity: 'guest0', source: 'microphone', seconds: 5 })];
    const { concealedSamples, silentConcealedSamples, totalSamplesReceived } = await heard;
    const after = await look();
    const moves = after.map(({ frames }, index) => frames > before[index].frames + 5);
    // One that is tried again meanwhile, or given up, is neither all the time.
    const paused = after.map((track, index) => track.paused || before[index].paused);
    const madeUp = (concealedSamples - silentConcealedSamples) / totalSamplesReceived;
    const count = (list) => list.filter(Boolean).length;
    t.diagnostic(`${count(moves)} move, ${count(paused)} are paused, ${(madeUp * 100).toFixed(1)} % of the sound made up`);
    assert.ok(moves.every((move, index) => move || paused[index]), 'a picture stands still and nobody says why');
    assert.ok(count(moves) >= 3, 'the link carries more than that');
    assert.ok(madeUp < 0.05, 'the sound suffers for pictures');
    cable.set({ down: { rate: WIDE } });
    await until('no picture is paused', async () => (await look()).every((track) => !track.paused), { ms: 90_000 });
    await all();
  });
});
