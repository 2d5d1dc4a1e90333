// What two people do in a room, and that each notices it.

import assert from 'node:assert/strict';
import { until } from './wait.mjs';

/** Everything: `ann` and `bob` have joined, and `bob` has left in the end. */
export async function meet(t, ann, bob) {
  await step(t, 'media flows both ways', () => media(ann, bob));
  await step(t, 'data, chat and calls go both ways', () => messages(ann, bob));
  await step(t, 'metadata, attributes and names arrive', () => descriptions(ann, bob));
  await step(t, 'mute is seen', () => mute(ann, bob));
  await step(t, 'leaving is seen', () => leaving(ann, bob));
}

/** A part of a test. Not a test of its own: the file's hooks end the clients after each of them. */
export async function step(t, what, run) {
  try {
    await run();
    t.diagnostic(what);
  } catch (error) {
    throw new Error(what, { cause: error });
  }
}

async function media(ann, bob) {
  await Promise.all([
    ann.publish({ camera: true, microphone: true }),
    bob.publish({ camera: true, microphone: true }),
  ]);
  await ann.show();
  const [picture] = await Promise.all([
    bob.seesMoving('ann'), bob.hears('ann'), ann.seesMoving('bob'), ann.hears('bob'),
  ]);
  assert.ok(picture.width > 0 && picture.height > 0, 'the picture has a size');
  await until('ann is told that bob speaks', async () => (await ann.snapshot()).spoke.includes('bob'));
  await until('bob is told that ann speaks', async () => (await bob.snapshot()).spoke.includes('ann'));
}

async function messages(ann, bob) {
  for (const [from, to] of [[ann, bob], [bob, ann]]) {
    const [reliable, targeted, chat] = ['reliable', 'only you', 'hello'].map((text) => `${text} from ${from.identity}`);
    await from.sendData({ text: reliable });
    await from.sendData({ text: targeted, to: [to.identity], topic: 'mine' });
    await from.sendData({ text: 'not yours', to: ['nobody'] });
    await from.sendChat({ text: chat });
    const seen = await until(`${to} has ${from}'s messages`, async () => {
      const { data, chat: texts } = await to.snapshot();
      const has = (text) => data.some((entry) => entry.text === text && entry.from === from.identity);
      return has(reliable) && has(targeted) && texts.some((entry) => entry.text === chat) && { data, texts };
    });
    assert.ok(!seen.data.some(({ text }) => text === 'not yours'), 'a message reached somebody it was not for');
    assert.equal(seen.texts.at(-1).from, from.identity);
    // One packet that may be lost proves nothing: send until one arrives.
    await until(`${to} has something unreliable from ${from}`, async () => {
      await from.sendData({ text: 'lossy', reliable: false, topic: 'lossy' });
      return (await to.snapshot()).data.some(({ text }) => text === 'lossy');
    });
    assert.ok(!(await from.snapshot()).data.some(({ from: sender }) => sender === from.identity), 'an echo');
    assert.equal(await from.rpc({ to: to.identity, payload: 'x' }), `${from.identity}:x`);
  }
}

async function descriptions(ann, bob) {
  for (const [from, to] of [[ann, bob], [bob, ann]]) {
    const name = `${from.identity} the Second`;
    await from.update({ metadata: 'about me', attributes: { hand: 'up' }, name });
    await until(`${to} knows about ${from}`, async () => {
      const known = (await to.snapshot()).participants[from.identity];
      return known?.metadata === 'about me' && known.attributes.hand === 'up' && known.name === name;
    });
  }
}

async function mute(ann, bob) {
  for (const source of ['microphone', 'camera']) {
    await ann.mute({ source, muted: true });
    await until(`bob sees ann's ${source} muted`, async () => (await bob.track('ann', source)).muted === true);
    await ann.mute({ source, muted: false });
    await until(`bob sees ann's ${source} unmuted`, async () => (await bob.track('ann', source)).muted === false);
  }
  await bob.seesMoving('ann');
  await bob.hears('ann');
}

async function leaving(ann, bob) {
  await bob.disconnect();
  await until('ann sees bob leave', async () => {
    const { left, participants } = await ann.snapshot();
    return left.includes('bob') && !participants.bob;
  });
}
