// Clients that lose their network and find it, or another one, go on where they were: the others
// do not see them leave.

import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { darken, move, resetTcp } from '../lib/network.mjs';
import { NETWORK, missing } from '../lib/settings.mjs';
import { suite } from '../lib/suite.mjs';
import { sleep, until } from '../lib/wait.mjs';

const things = suite('resume');
let repairs = [];
afterEach(() => {
  for (const repair of repairs) repair();
  repairs = [];
});

/** Something is broken for some time; the answer is how to repair it before that. */
function broken(breaks) {
  let repair = breaks(NETWORK);
  const once = () => {
    repair?.();
    repair = null;
  };
  repairs.push(once);
  return once;
}

/** What can happen to a network, and that it is over. */
const INTERRUPTIONS = {
  'its socket breaks': async () => {
    const repair = broken(resetTcp);
    // It notices with the next thing that it says: it pings every five seconds.
    await sleep(6_000);
    repair();
  },
  'it gets another address': async () => {
    const repair = broken(darken);
    move(NETWORK, { from: 2, to: 3 });
    repairs.push(() => move(NETWORK, { from: 3, to: 2 }));
    await sleep(1_000);
    repair();
  },
  'it is in the dark for twenty seconds': async (meanwhile) => {
    const repair = broken(darken);
    const end = Date.now() + 20_000;
    await meanwhile?.();
    await sleep(end - Date.now());
    repair();
  },
};

/** Ann, whose network is good, and Bob, whose is not: they see and hear each other. */
async function meet(kind, { single }) {
  const room = things.newRoom();
  const [ann, bob] = await Promise.all([
    things.clients.join('chromium', room, 'ann', { single }),
    things.clients.join(kind, room, 'bob', { single, roaming: true }),
  ]);
  await Promise.all([ann, bob].map((person) => person.publish({ camera: true, microphone: true })));
  await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann'), ann.hears('bob'), bob.hears('ann')]);
  return { room, ann, bob };
}

const texts = ({ data }) => data.map(({ text }) => text);

/** Both have each other's picture and sound, and nobody was seen to leave. */
async function checkAlive(t, { ann, bob }, { sid }) {
  const light = Date.now();
  await until('he is back', async () => (await bob.snapshot()).reconnected > 0);
  t.diagnostic(`he is back after ${Date.now() - light} ms`);
  await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann'), ann.hears('bob'), bob.hears('ann')]);
  t.diagnostic(`media is back after ${Date.now() - light} ms`);
  const [his, hers] = await Promise.all([bob.snapshot(), ann.snapshot()]);
  assert.equal(his.sid, sid, 'he has joined anew');
  assert.deepEqual([his.left, hers.left], [[], []], 'somebody was seen to leave');
  assert.deepEqual([his.disconnected, hers.disconnected], [null, null]);
}

const CLIENTS = [
  { kind: 'chromium', single: true, how: Object.keys(INTERRUPTIONS) },
  { kind: 'chromium', single: false, how: Object.keys(INTERRUPTIONS) },
  // This one joins anew after its first vain attempt to come back, so it cannot stay in the dark.
  { kind: 'python', single: true, how: ['its socket breaks'] },
  { kind: 'python', single: false, how: ['it gets another address'] },
];
for (const { kind, single, how } of CLIENTS) {
  const skip = missing('network', 'chromium', kind);
  describe(`${kind} by ${single ? 'one peer connection' : 'two peer connections'}`, { skip }, () => {
    for (const interruption of how) {
      test(`goes on unnoticed after ${interruption}`, async (t) => {
        const people = await meet(kind, { single });
        const { ann, bob } = people;
        const before = await bob.snapshot();
        const sent = [];
        const say = async (text) => {
          sent.push(text);
          await ann.sendData({ text });
        };
        await say('before');
        await until('the first message arrives', async () => texts(await bob.snapshot()).length > 0);
        await INTERRUPTIONS[interruption](async () => {
          for (const text of ['one', 'two', 'three']) {
            await say(text);
            await sleep(3_000);
          }
        });
        await checkAlive(t, people, before);
        await say('after');
        await until('messages have arrived', async () => texts(await bob.snapshot()).length >= sent.length);
        assert.deepEqual(texts(await bob.snapshot()), sent);
      });
    }
  });
}

describe('who was in the dark', { skip: missing('network', 'chromium') }, () => {
  test('learns who came, left, muted and said what meanwhile, and is heard', async () => {
    const { room, ann, bob } = await meet('chromium', { single: true });
    const eve = await things.clients.join('chromium', room, 'eve');
    await until('bob sees eve', async () => (await bob.snapshot()).participants.eve);
    await bob.sendData({ text: 'good evening' });
    await INTERRUPTIONS['it is in the dark for twenty seconds'](async () => {
      await sleep(8_000);
      await eve.disconnect();
      await ann.mute({ source: 'microphone', muted: true });
      await ann.update({ metadata: 'tired' });
      await things.clients.join('chromium', room, 'carl');
      await bob.sendData({ text: 'is anybody there?' });
    });
    await until('bob knows how things are', async () => {
      const { participants } = await bob.snapshot();
      const names = Object.keys(participants).sort().join();
      return names === 'ann,carl' && participants.ann.metadata === 'tired' && participants.ann.tracks.microphone.muted;
    });
    await until('ann has heard bob', async () => texts(await ann.snapshot()).length >= 2);
    assert.deepEqual(texts(await ann.snapshot()), ['good evening', 'is anybody there?']);
    assert.deepEqual((await ann.snapshot()).left, ['eve']);
  });

  test('for more than half a minute is gone, and joins anew by itself', async () => {
    const { ann, bob } = await meet('chromium', { single: true });
    const before = await bob.snapshot();
    const repair = broken(darken);
    const dark = Date.now();
    await until('ann sees that bob is lost', async () => (await ann.snapshot()).participants.bob.quality === 'lost');
    await until('ann sees bob leave', async () => (await ann.snapshot()).left.includes('bob'));
    assert.ok(Date.now() - dark > 20_000, 'he was given up too early');
    repair();
    await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann')]);
    assert.notEqual((await bob.snapshot()).sid, before.sid);
    await until('bob is well again', async () => (await ann.snapshot()).participants.bob.quality === 'excellent');
  });
});
