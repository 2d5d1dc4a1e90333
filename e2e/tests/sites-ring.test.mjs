// Three sites in a ring: one cable may go, and be back, without anybody leaving or coming twice.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cut, passed } from '../lib/network.mjs';
import { longestStall } from '../lib/pictures.mjs';
import { missing } from '../lib/settings.mjs';
import { linked, sites } from '../lib/sites.mjs';
import { sleep, until } from '../lib/wait.mjs';

const NAMES = ['a', 'b', 'c'];
/** What somebody who talks takes for a hiccup. */
const STALL_MS = 2_000;

const things = sites('ring', NAMES, [[0, 1], [1, 2], [2, 0]], { cables: [['a', 'b'], ['b', 'c'], ['c', 'a']] });

describe('three sites in a ring', { skip: missing('chromium', 'network') }, () => {
  test('a cable that is cut costs two seconds of some pictures and nobody\'s presence', async (t) => {
    const room = things.newRoom();
    const people = await Promise.all(NAMES.map((name, index) => things.clients[index].join('chromium', room, `at-${name}`)));
    await Promise.all(people.map((who) => who.publish({ camera: true, width: 320, height: 180, maxBitrate: 200_000 })));
    const pairs = people.flatMap((who) => people.filter((whom) => whom !== who).map((whom) => [who, whom.identity]));
    const all = () => Promise.all(pairs.map(([who, whom]) => who.seesMoving(whom)));
    await all();
    const gone = async () => (await Promise.all(people.map((who) => who.snapshot()))).flatMap(({ left }) => left);
    /** The longest stalls of all pictures while something is done. */
    const stalls = async (seconds, act) => {
      const watched = Promise.all(pairs.map(([identity, whom]) => identity.watch({ identity: whom, source: 'camera', seconds })));
      await sleep(1_000);
      act();
      const seen = await watched;
      return pairs.map(([who, whom], index) => ({ who: `${who.identity} of ${whom}`, ms: Math.round(longestStall(seen[index].pictures)) }));
    };
    const told = (list) => list.map(({ who, ms }) => `${who} ${ms} ms`).join(', ');
    const worst = (list) => Math.max(...list.map(({ ms }) => ms));

    const { a, b } = things.places;
    t.diagnostic(`before: ${told(await stalls(4, () => {}))}`);
    let heal;
    try {
      const broken = await stalls(8, () => { heal = cut(a, b); });
      t.diagnostic(`cut: ${told(broken)}`);
      await all();
      assert.deepEqual(await gone(), [], 'somebody is seen to leave');
      assert.ok(worst(broken) <= STALL_MS, `pictures stand still for too long: ${told(broken)}`);
      // Longer than a link takes to be given up.
      await sleep(18_000);
      await all();
    } finally {
      heal?.();
    }
    const address = things.servers[1].originAt(b.cables.a.ip);
    const isBack = async () => (await linked(things.servers[0], address)).state === 'connected';
    const healed = [];
    // Until the link is back, and for long enough afterwards to change to it.
    for (let [start, back] = [Date.now(), false]; !back; ) {
      assert.ok(Date.now() < start + 45_000, 'the link does not come back');
      back = await isBack();
      healed.push(...await stalls(back ? 10 : 3, () => {}));
    }
    t.diagnostic(`healed: ${worst(healed)} ms at most`);
    await until('pictures take the short way again', async () => {
      const before = passed(a, b);
      await sleep(1_000);
      return passed(a, b).bytes - before.bytes > 10_000;
    });
    await all();
    assert.ok(worst(healed) <= STALL_MS, `the cable that is back breaks pictures: ${told(healed)}`);
    assert.deepEqual(await gone(), [], 'somebody is seen to leave');
    for (const who of people) {
      const others = Object.keys((await who.snapshot()).participants);
      assert.equal(others.length, 2, `${who} sees ${others}`);
    }
  });
});
