// A room in which more talk than are forwarded.

import { describe, test } from 'node:test';
import { missing } from '../lib/settings.mjs';
import { suite } from '../lib/suite.mjs';
import { sleep, until } from '../lib/wait.mjs';

const things = suite('crowd', { UMBRELLA_ROOMS_LOUDEST: '1' });

/** Which of these somebody hears now. */
async function heard(by, names) {
  const energies = async () => Promise.all(names.map(async (name) => (await by.track(name, 'microphone')).energy));
  const before = await energies();
  await sleep(1_500);
  const after = await energies();
  return names.filter((_, index) => after[index] > before[index]);
}

describe('where one may be heard at a time', { skip: missing('chromium') }, () => {
  test('one is, and another when that one is silent', async (t) => {
    const room = things.newRoom();
    const names = ['ann', 'bob', 'cat'];
    const [eve, ...people] = await Promise.all(['eve', ...names].map((name) => things.clients.join('chromium', room, name)));
    await Promise.all(people.map((person) => person.publish({ microphone: true })));
    await until('eve has all sounds', async () => {
      const { participants } = await eve.snapshot();
      return names.every((name) => participants[name]?.tracks.microphone?.subscribed);
    });
    const [first] = await until('one is heard', async () => {
      const list = await heard(eve, names);
      return list.length === 1 && list;
    });
    await people[names.indexOf(first)].mute({ source: 'microphone', muted: true });
    const start = Date.now();
    const [second] = await until('another one is heard', async () => {
      const list = await heard(eve, names);
      return list.length === 1 && list[0] !== first && list;
    });
    t.diagnostic(`${second} instead of ${first} after ${Date.now() - start} ms at most`);
  });
});
