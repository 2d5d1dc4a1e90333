// Two sites behind routers that nobody reaches from outside, which meet at a server without media.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { homes, MEETING } from '../lib/homes.mjs';
import { passed } from '../lib/network.mjs';
import { shot } from '../lib/page.mjs';
import { missing } from '../lib/settings.mjs';
import { sleep } from '../lib/wait.mjs';

const things = homes('direct', { steady: true });

describe('two sites behind routers, and a server without media that both have joined', { skip: missing('chromium', 'network') }, () => {
  test('pictures do not pass although there is a direct way', async (t) => {
    const start = performance.now();
    await things.join(MEETING);
    const people = await things.people();
    await things.meet(people);
    t.diagnostic(`media directly ${Math.round(performance.now() - start)} ms after both have begun to join`);

    const { meeting, net, hut, 'router-hut': router } = things.places;
    const before = [passed(meeting, net), passed(hut, router)];
    await sleep(3_000);
    const now = [passed(meeting, net), passed(hut, router)];
    const [middle, direct] = now.map(({ bytes }, at) => Math.round(((bytes - before[at].bytes) * 8) / 3_000));
    t.diagnostic(`${direct} kbit/s at the hut's router, ${middle} kbit/s at the server in the middle`);
    assert.ok(direct > 200, 'media do not pass the router');
    // Messages, and who speaks how loudly, on two links and both ways.
    assert.ok(middle < 150, 'media pass the server in the middle');

    const { page, section } = await things.network(people.room);
    await section.getByText('Direct media over UDP').waitFor();
    await section.locator('details', { hasText: 'barn' }).locator('summary').click();
    await section.getByText('Put in touch by').waitFor();
    assert.equal(await section.getByText('No way from here').count(), 0);
    await section.evaluate((element) => element.scrollIntoView({ block: 'end' }));
    await shot(page, 'network-direct');
  });
});
