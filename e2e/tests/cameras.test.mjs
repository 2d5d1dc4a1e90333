// Security cameras in a room, as browsers see and hear them.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { addCamera, cameraOf, isNow } from '../lib/camera.mjs';
import { cut, loseUdp } from '../lib/network.mjs';
import { BARS, showsBars } from '../lib/pictures.mjs';
import { missing } from '../lib/settings.mjs';
import { sleep, until } from '../lib/wait.mjs';
import { yard } from '../lib/yard.mjs';

/** Sound that comes so much too early or too late is noticed (ms). */
const IN_SYNC = 80;

const SMALL = { width: 320, height: 180, bitrate: 300 };

/** What cameras send and how they ask for a password. */
const COMBINATIONS = [
  { name: 'AAC', stream: { profile: 'constrained-baseline', audio: 'aac' }, flags: [], guard: {}, codec: 'audio/opus' },
  { name: 'PCMU', stream: { profile: 'main', audio: 'pcmu' }, flags: ['--udp'], guard: { user: 'ann', password: 'a/b?c@d' }, codec: 'audio/PCMU' },
  { name: 'PCMA', stream: { profile: 'high', audio: 'pcma', parameters: 0 }, flags: [], guard: { user: 'ann', password: 'secret' }, codec: 'audio/PCMA' },
  { name: 'Opus', stream: { profile: 'high', audio: 'opus', parameters: 1 }, flags: ['--udp'], guard: {}, codec: 'audio/opus' },
  { name: 'G722', stream: { profile: 'main', audio: 'g722' }, flags: [], guard: { user: 'ann', password: 'secret', basic: true }, codec: 'audio/G722' },
  { name: 'stereo', stream: { audio: 'aac', audio_rate: 48_000, channels: 2 }, flags: ['--udp'], guard: {}, codec: 'audio/opus' },
];

const things = yard('cameras');

/** Of each flash, how many milliseconds after it the tick is heard. */
function lateness({ heard, seen }) {
  const nearest = (at) => heard.reduce((best, tick) => (Math.abs(tick - at) < Math.abs(best - at) ? tick : best), Infinity);
  return seen.map((at) => Math.round(nearest(at) - at));
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

describe('cameras', { skip: missing('chromium', 'network') }, () => {
  test('are seen and heard whatever they send, how they send it and how they ask for a password', async () => {
    const room = things.newRoom();
    const ann = await things.clients.join('chromium', room, 'ann');
    await Promise.all(COMBINATIONS.map(async ({ name, stream, flags, guard, codec }) => {
      const camera = await things.camera({ '/main': { pattern: 'smpte75', ...SMALL, ...stream } }, guard);
      const id = await addCamera(things.server, camera.url('/main'), { name, room, flags });
      await ann.seesMoving(id);
      await ann.hears(id);
      showsBars(await ann.colours({ identity: id, source: 'camera', points: BARS }));
      assert.equal((await ann.track(id, 'microphone')).codec, codec, name);
    }));
    for (const { guard: { password } } of COMBINATIONS.filter(({ guard }) => guard.password)) {
      const log = things.server.log();
      assert.ok(!log.includes(password) && !log.includes(encodeURIComponent(password)), 'a password is in the log');
    }
  });

  for (const [audio, rate] of [['aac', 16_000], ['pcmu', 8_000]]) {
    test(`sound in ${audio} goes with the picture`, async (t) => {
      const room = things.newRoom();
      const camera = await things.camera({ '/main': { pattern: 'beat', ...SMALL, audio, audio_rate: rate } });
      const id = await addCamera(things.server, camera.url('/main'), { name: 'Beat', room });
      const ann = await things.clients.join('chromium', room, 'ann');
      await ann.seesMoving(id);
      await ann.hears(id);
      // Browsers bring both together step by step.
      const late = await until('ticks are heard when the picture flashes', async () => {
        const beat = await ann.beat({ identity: id, seconds: 7 });
        assert.ok(beat.heard.length >= 5 && beat.seen.length >= 2, JSON.stringify(beat));
        const late = lateness(beat);
        t.diagnostic(`sound comes ${late.join(', ')} ms late`);
        return Math.abs(median(late)) <= IN_SYNC && late;
      });
      assert.ok(late);
    });
  }

  test('that send a key frame once in a minute are seen at once, and move on from there', async (t) => {
    const room = things.newRoom();
    const camera = await things.camera({ '/main': { ...SMALL, key: 1500, audio: 'aac' } });
    const id = await addCamera(things.server, camera.url('/main'), { name: 'Rare', room, flags: ['--always-on'] });
    await isNow(things.server, 'Rare', 'live');
    const ann = await things.clients.join('chromium', room, 'ann', { autoSubscribe: false });
    await until('the camera is there', async () => (await ann.track(id, 'camera')).kind);
    for (let round = 0; round < 3; round += 1) {
      const ms = await Promise.race([ann.firstPicture({ identity: id, source: 'camera' }), sleep(20_000)]);
      assert.ok(ms, 'no picture before the next key frame');
      const { freezeCount } = await ann.watch({ identity: id, source: 'camera', seconds: 2 });
      t.diagnostic(`first picture after ${Math.round(ms)} ms, ${freezeCount} freezes in the 2 s after it`);
      await ann.subscribe({ identity: id, source: 'camera', on: false });
      await sleep(500);
    }
    assert.ok((await cameraOf(things.server, 'Rare')).cachedBytes > 0);
  });

  test('come back by themselves, and nobody sees them leave meanwhile', async (t) => {
    const room = things.newRoom();
    const stream = { ...SMALL, audio: 'pcmu' };
    const ann = await things.clients.join('chromium', room, 'ann');
    const start = async (name, options = {}, flags = []) => {
      const camera = await things.camera({ '/main': stream }, options);
      const id = await addCamera(things.server, camera.url('/main'), { name, room, flags });
      return { name, id, camera };
    };
    const [killed, frozen, jumped, lossy] = [
      await start('killed'), await start('frozen'), await start('jumped'), await start('lossy', {}, ['--udp']),
    ];
    const all = [killed, frozen, jumped, lossy];
    const move = () => Promise.all(all.map(({ id }) => Promise.all([ann.seesMoving(id), ann.hears(id)])));
    await move();
    const begin = Date.now();
    await killed.camera.stop();
    frozen.camera.freeze();
    jumped.camera.jump(3600);
    const mend = loseUdp(things.places.house, things.places.yard, 0.03);
    await isNow(things.server, 'killed', 'reconnecting');
    await isNow(things.server, 'frozen', 'reconnecting');
    t.diagnostic(`frozen for ${Date.now() - begin} ms until it was noticed`);
    frozen.camera.thaw();
    await things.camera({ '/main': stream }, { port: killed.camera.port });
    await move();
    t.diagnostic(`all there again ${Date.now() - begin} ms after the faults`);
    mend();

    const repair = cut(things.places.house, things.places.yard);
    for (const { name } of all) await isNow(things.server, name, 'reconnecting');
    repair();
    await move();
    assert.deepEqual((await ann.snapshot()).left, []);
  });

  test('whose pictures no browser plays are refused with what to do about it', async () => {
    const room = things.newRoom();
    const camera = await things.camera(
      { '/jpeg': { ...SMALL, video: 'jpeg' }, '/b': { ...SMALL, profile: 'main', bframes: 2 } },
      { user: 'ann', password: 'secret' },
    );
    for (const [url, words] of [
      [camera.url('/jpeg'), /JPEG.*H\.264/s],
      [camera.url('/b'), /B-frames/],
      [camera.url('/none'), /path|stream|address/],
      [camera.url('/b').replace('secret', 'wrong'), /password/],
    ]) {
      await addCamera(things.server, url, { name: 'Gate', room });
      const { why } = await isNow(things.server, 'Gate', 'refused');
      assert.match(why, words);
      await things.server.command('camera', 'remove', 'Gate');
    }
  });
});
