// Two sites whose routers let no direct way be, which meet at a server without media.

import { describe, test } from 'node:test';
import { CLOUD, homes, HUT, MEETING } from '../lib/homes.mjs';
import { joinCall, openPage, shot } from '../lib/page.mjs';
import { missing } from '../lib/settings.mjs';
import { until } from '../lib/wait.mjs';

const things = homes('apart', { steady: false, cloud: true });

describe('two sites between which there is no direct way', { skip: missing('chromium', 'network') }, () => {
  test('nobody says why there are no pictures, and what helps', async (t) => {
    await things.join(MEETING);
    const { ann, bob, room } = await things.people();
    await until('they know each other', async () =>
      'ann' in (await bob.snapshot()).participants && 'bob' in (await ann.snapshot()).participants);
    await ann.sendData({ text: 'can you see me?' });
    await until('messages pass', async () => (await bob.snapshot()).data.some(({ text }) => text === 'can you see me?'));

    const { page, hash, section } = await things.network(room);
    await section.getByText('No direct way').waitFor({ timeout: 40_000 });
    await section.locator('details', { hasText: 'barn' }).locator('summary').click();
    await section.getByText(/have joined a server that carries media/).waitFor();
    await section.getByText('No way from here for sound and pictures').waitFor();
    await section.evaluate((element) => element.scrollIntoView({ block: 'end' }));
    await shot(page, 'network-no-direct-way');
    const carl = await openPage(things.browser, things.servers[HUT], hash);
    await joinCall(carl, 'Carl');
    const tile = carl.locator('[data-testid=tile][data-identity=bob]');
    await tile.getByText('No picture arrives from barn').waitFor();
    await shot(carl, 'call-no-picture-arrives');

    // A server that carries media helps without anybody doing anything in the room.
    const start = performance.now();
    await things.join(CLOUD);
    await things.meet({ ann, bob });
    t.diagnostic(`media over the cloud ${Math.round(performance.now() - start)} ms after both have begun to join it`);
    await carl.locator('[data-testid=tile][data-identity=bob][data-state=live]').waitFor();
    await section.getByText(/Sound and pictures go over other servers/).waitFor();
  });
});
