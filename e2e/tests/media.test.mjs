// What happens to media in a room with browsers: screens, latecomers, layers, subscriptions, codecs.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { missing } from '../lib/settings.mjs';
import { suite, TOPOLOGIES } from '../lib/suite.mjs';
import { sleep, until } from '../lib/wait.mjs';

const things = suite('media');
const join = (...all) => things.clients.join(...all);

for (const { single, called } of TOPOLOGIES) {
  describe(`by ${called}`, { skip: missing('chromium') }, () => {
    test('a screen is shared beside the camera', async () => {
      const room = things.newRoom();
      const [ann, bob] = await Promise.all([join('chromium', room, 'ann', { single }), join('chromium', room, 'bob', { single })]);
      await ann.publish({ camera: true });
      await ann.publishScreen({ real: true });
      await Promise.all([bob.seesMoving('ann', 'camera'), bob.seesMoving('ann', 'screen_share')]);
    });

    test('a latecomer gets a picture without waiting for a key frame to come by', async (t) => {
      const room = things.newRoom();
      const ann = await join('chromium', room, 'ann', { single });
      await ann.publish({ camera: true, microphone: true });
      const bob = await join('chromium', room, 'bob', { single });
      await bob.seesMoving('ann');
      const late = await join('chromium', room, 'late', { single });
      const took = await until('the latecomer has a picture', async () => (await late.snapshot()).firstFrameMs, { every: 20 });
      t.diagnostic(`first picture ${Math.round(took)} ms after connecting began`);
      await late.seesMoving('ann');
    });

    // VP8 and H.264 send simulcast, VP9 and AV1 layers within one stream.
    for (const codec of ['vp8', 'h264', 'vp9', 'av1']) {
      test(`a small tile gets a small layer, a large one a large layer, in ${codec}`, async (t) => {
        const room = things.newRoom();
        const [ann, bob] = await Promise.all([
          join('chromium', room, 'ann', { single }),
          join('chromium', room, 'bob', { single, adaptive: true }),
        ]);
        await ann.publish({ camera: true, width: 1280, height: 720, simulcast: true, codec, maxBitrate: 1_500_000 });
        await bob.show();
        await bob.seesMoving('ann');
        const size = (what, fits) => until(`bob's picture is ${what}`, async () => {
          const track = await bob.track('ann', 'camera');
          return fits(track.height) && track;
        });
        await bob.resize({ identity: 'ann', source: 'camera', width: 160 });
        await size('small', (height) => height > 0 && height <= 180);
        await bob.resize({ identity: 'ann', source: 'camera', width: 1280 });
        await size('large', (height) => height >= 540);
        await bob.resize({ identity: 'ann', source: 'camera', width: 160 });
        const { freezes } = await size('small again', (height) => height <= 180);
        t.diagnostic(`${freezes} freezes over the switches`);
        await bob.seesMoving('ann');
      });
    }

    test('a layer that nobody shows is not sent, and comes back when somebody does', async (t) => {
      const room = things.newRoom();
      const [ann, bob] = await Promise.all([
        join('chromium', room, 'ann', { single, dynacast: true }),
        join('chromium', room, 'bob', { single, adaptive: true }),
      ]);
      await ann.publish({ camera: true, width: 1280, height: 720, simulcast: true, maxBitrate: 1_500_000 });
      await bob.show();
      await bob.seesMoving('ann');
      const sends = (what, fits) => until(`ann sends ${what}`, async () => fits(await ann.sends({ source: 'camera' })));
      const tile = (width) => bob.resize({ identity: 'ann', source: 'camera', width });
      await tile(1280);
      await sends('a large layer', (heights) => heights.at(-1) >= 540);
      await tile(160);
      await sends('a small one alone', (heights) => heights.length === 1 && heights[0] <= 180);
      await bob.seesMoving('ann');
      const start = Date.now();
      await tile(1280);
      await until('bob\'s picture is large', async () => (await bob.track('ann', 'camera')).height >= 540);
      t.diagnostic(`large again after ${Date.now() - start} ms`);
      await tile(0);
      await sends('nothing', (heights) => heights.length === 0);
      await tile(320);
      await bob.seesMoving('ann');
    });

    test('a hidden tile stops its packets, and starts again when shown', async () => {
      const room = things.newRoom();
      const [ann, bob] = await Promise.all([
        join('chromium', room, 'ann', { single }),
        join('chromium', room, 'bob', { single, adaptive: true }),
      ]);
      await ann.publish({ camera: true });
      await bob.show();
      await bob.seesMoving('ann');
      await bob.resize({ identity: 'ann', source: 'camera', width: 0 });
      await until('packets stop', async () => {
        const { packets } = await bob.track('ann', 'camera');
        await sleep(1_000);
        return (await bob.track('ann', 'camera')).packets === packets;
      });
      await bob.resize({ identity: 'ann', source: 'camera', width: 320 });
      await bob.seesMoving('ann');
    });

    test('unsubscribing stops a track, subscribing brings it back', async () => {
      const room = things.newRoom();
      const [ann, bob] = await Promise.all([join('chromium', room, 'ann', { single }), join('chromium', room, 'bob', { single })]);
      await ann.publish({ camera: true, microphone: true });
      await bob.seesMoving('ann');
      await bob.subscribe({ identity: 'ann', source: 'camera', on: false });
      await until('the track is gone', async () => !(await bob.track('ann', 'camera')).subscribed);
      await bob.hears('ann');
      await bob.subscribe({ identity: 'ann', source: 'camera', on: true });
      await bob.seesMoving('ann');
      for (const on of [false, true]) await bob.subscribe({ identity: 'ann', source: 'microphone', on });
      await bob.hears('ann');
    });

    test('a picture goes only to those whom its publisher has chosen', async () => {
      const room = things.newRoom();
      const [ann, bob, eve] = await Promise.all(['ann', 'bob', 'eve'].map((name) => join('chromium', room, name, { single })));
      await ann.publish({ camera: true, width: 320, height: 180 });
      await Promise.all([bob.seesMoving('ann'), eve.seesMoving('ann')]);
      await ann.allow({ identities: ['bob'] });
      await until('eve has lost the track and knows why', async () => {
        const { subscribed, allowed } = await eve.track('ann', 'camera');
        return !subscribed && !allowed;
      });
      await bob.seesMoving('ann');
      await ann.allow({ everybody: true });
      await eve.seesMoving('ann');
      assert.ok((await eve.track('ann', 'camera')).allowed);
    });

    test('who cannot decode what is sent gets another codec, and nobody else does', { skip: !single }, async (t) => {
      const room = things.newRoom();
      const [ann, bob, eve] = await Promise.all([
        join('chromium', room, 'ann', { single, dynacast: true }),
        join('chromium', room, 'bob', { single }),
        join('chromium', room, 'eve', { single, without: 'AV1' }),
      ]);
      await ann.publish({ camera: true, codec: 'av1', backup: 'vp8', width: 320, height: 180 });
      const start = Date.now();
      const [his, hers] = await Promise.all([bob.seesMoving('ann'), eve.seesMoving('ann')]);
      t.diagnostic(`both see her after ${Date.now() - start} ms`);
      assert.deepEqual([his, hers].map(({ codec }) => codec), ['video/AV1', 'video/VP8']);
      assert.equal(Object.keys((await bob.snapshot()).participants.ann.tracks).length, 1);
      await ann.mute({ source: 'camera', muted: true });
      await until('both know that her camera is off', async () =>
        (await bob.track('ann', 'camera')).muted && (await eve.track('ann', 'camera')).muted);
      await ann.mute({ source: 'camera', muted: false });
      await Promise.all([bob.seesMoving('ann'), eve.seesMoving('ann')]);
    });

    for (const codec of ['h264', 'vp9', 'av1']) {
      test(`${codec} arrives as it was sent`, async () => {
        const room = things.newRoom();
        const [ann, bob] = await Promise.all([join('chromium', room, 'ann', { single }), join('chromium', room, 'bob', { single })]);
        await ann.publish({ camera: true, codec, width: 320, height: 180 });
        const track = await bob.seesMoving('ann');
        assert.equal(track.codec.toLowerCase(), `video/${codec}`);
      });
    }

    for (const codec of ['vp8', 'h264']) {
      test(`end-to-end encrypted ${codec} and sound pass, and only to those with the key`, async () => {
        const room = things.newRoom();
        const [ann, bob, eve] = await Promise.all(['ann', 'bob', 'eve'].map((name) => join('chromium', room, name, {
          single, passphrase: name === 'eve' ? 'a guess' : 'the secret of ann and bob',
        })));
        await ann.publish({ camera: true, microphone: true, codec, width: 320, height: 180 });
        const track = await bob.seesMoving('ann');
        assert.equal(track.codec.toLowerCase(), `video/${codec}`);
        await bob.hears('ann');
        await until('eve gets packets', async () => (await eve.track('ann', 'camera')).packets > 50);
        assert.equal((await eve.track('ann', 'camera')).frames, 0, 'a wrong key shows a picture');
      });
    }

    test('sound comes with redundancy, or without if the publisher wants it so', async () => {
      // Browsers report Opus for both: what the server has seen arrive is what it announces.
      for (const [red, codec] of [[true, 'audio/red'], [false, 'audio/opus']]) {
        const room = things.newRoom();
        const [ann, bob] = await Promise.all([join('chromium', room, 'ann', { single }), join('chromium', room, 'bob', { single })]);
        await ann.publish({ microphone: true, red });
        await bob.hears('ann');
        await until(`the sound is ${codec}`, async () => (await bob.track('ann', 'microphone')).announced === codec);
      }
    });

    test('five people see each other', async () => {
      const room = things.newRoom();
      const names = ['ann', 'bob', 'cat', 'dan', 'eve'];
      const people = await Promise.all(names.map((name) => join('chromium', room, name, { single })));
      await Promise.all(people.map((person) => person.publish({ camera: true, microphone: true, width: 320, height: 180 })));
      await Promise.all(people.flatMap((person) => names
        .filter((name) => name !== person.identity)
        .flatMap((name) => [person.seesMoving(name), person.hears(name)])));
    });
  });
}
