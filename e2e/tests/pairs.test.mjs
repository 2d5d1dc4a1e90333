// Two clients of every kind that people pair: they see and hear each other, exchange data, call
// each other, and notice what the other does.

import { describe, test } from 'node:test';
import { meet } from '../lib/meeting.mjs';
import { missing } from '../lib/settings.mjs';
import { suite, TOPOLOGIES } from '../lib/suite.mjs';

const PAIRS = [
  { a: 'chromium', b: 'chromium', needs: ['chromium'] },
  { a: 'chromium', b: 'firefox', needs: ['chromium', 'firefox', 'network'] },
  { a: 'chromium', b: 'python', needs: ['chromium', 'python'] },
  { a: 'python', b: 'node', needs: ['python'] },
];

const things = suite('pairs');

for (const { a, b, needs } of PAIRS) {
  for (const { single, called } of TOPOLOGIES) {
    describe(`${a} and ${b} by ${called}`, { skip: missing(...needs) }, () => {
      test('see, hear, talk to and notice each other', async (t) => {
        const room = things.newRoom();
        const [ann, bob] = await Promise.all([
          things.clients.join(a, room, 'ann', { single }),
          things.clients.join(b, room, 'bob', { single }),
        ]);
        await meet(t, ann, bob);
      });
    });
  }
}
