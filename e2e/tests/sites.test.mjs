// People at different sites are in one room: every kind of client sees, hears and notices those at
// the other end of a trunk as if they were here.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { meet } from '../lib/meeting.mjs';
import { missing } from '../lib/settings.mjs';
import { sites } from '../lib/sites.mjs';
import { until } from '../lib/wait.mjs';

const things = sites('sites', ['hut', 'cloud', 'yard'], [[0, 1], [2, 1]]);

const PAIRS = [
  { a: 'chromium', b: 'chromium', single: true, needs: ['chromium'] },
  { a: 'chromium', b: 'python', single: false, needs: ['chromium', 'python'] },
];

for (const { a, b, single, needs } of PAIRS) {
  describe(`${a} at one site and ${b} two links away`, { skip: missing(...needs) }, () => {
    test('see, hear, talk to and notice each other', async (t) => {
      const room = things.newRoom();
      const [ann, bob] = await Promise.all([
        things.clients[0].join(a, room, 'ann', { single }),
        things.clients[2].join(b, room, 'bob', { single }),
      ]);
      await until('ann knows bob', async () => 'bob' in (await ann.snapshot()).participants);
      await until('bob knows ann', async () => 'ann' in (await bob.snapshot()).participants);
      await meet(t, ann, bob);
    });
  });
}

describe('who comes late to another site', { skip: missing('chromium') }, () => {
  test('sees everybody within two seconds, and where they are', async () => {
    const room = things.newRoom();
    const ann = await things.clients[0].join('chromium', room, 'ann');
    await ann.publish({ camera: true, microphone: true });
    const bob = await things.clients[1].join('chromium', room, 'bob');
    const start = Date.now();
    await until('bob knows ann', async () => 'ann' in (await bob.snapshot()).participants);
    assert.ok(Date.now() - start < 2_000, 'it took too long');
    const { attributes } = (await bob.snapshot()).participants.ann;
    assert.equal(attributes['umbrella.site'], 'hut');
    await bob.seesMoving('ann');
  });
});
