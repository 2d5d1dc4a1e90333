// Two sites behind routers that nobody reaches from outside, which meet at a server without media.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startChromium } from '../lib/browsers.mjs';
import { internet, masquerade, passed } from '../lib/network.mjs';
import { invite, joinCall, openPage, shot, signIn } from '../lib/page.mjs';
import { missing } from '../lib/settings.mjs';
import { link, sites } from '../lib/sites.mjs';
import { sleep, until } from '../lib/wait.mjs';

const skip = missing('chromium', 'python', 'network');
const things = sites('direct', ['hut', 'barn', 'meeting', 'cloud'], [], {
  cables: [
    ['hut', 'router-hut'], ['barn', 'router-barn'],
    ...['router-hut', 'router-barn', 'meeting', 'cloud'].map((name) => [name, 'net']),
  ],
  env: (site) => (site === 'meeting' ? { UMBRELLA_TRUNK_ROLE: 'signalling' } : {}),
});

/** While somebody looks, each site's picture and sound. */
const MAX_BITRATE = 300_000;

describe('two sites behind routers, and a server without media that both have joined', { skip }, () => {
  const [HUT, BARN, MEETING, CLOUD] = [0, 1, 2, 3];
  let changeRouters;
  let browser;
  before(async () => {
    const { places } = things;
    internet(places.net, places);
    const changes = ['hut', 'barn'].map((site) =>
      masquerade(places[`router-${site}`], { within: places[site], without: places.net }));
    changeRouters = () => changes.forEach((change) => change());
    await join(MEETING);
    browser = await startChromium();
  });
  after(() => browser?.close());

  /** Where sites reach a server that is in the net. */
  function address(which) {
    const server = things.servers[which];
    return server.originAt(server.place.cables.net.ip) + server.prefix;
  }

  /** Both sites join a server. */
  async function join(which) {
    for (const site of [HUT, BARN]) await link(things.servers[site], things.servers[which], address(which));
  }

  async function part(which) {
    for (const site of [HUT, BARN]) await things.servers[site].command('trunk', 'remove', address(which));
  }

  /** Ann at the hut and bob at the barn, who have cameras and microphones. */
  async function people() {
    const room = things.newRoom();
    const [ann, bob] = await Promise.all([
      things.clients[HUT].join('chromium', room, 'ann'),
      things.clients[BARN].join('chromium', room, 'bob'),
    ]);
    await Promise.all([ann, bob].map((who) => who.publish({ camera: true, microphone: true, maxBitrate: MAX_BITRATE })));
    return [ann, bob, room];
  }

  const meet = ([ann, bob]) => Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann'), ann.hears('bob'), bob.hears('ann')]);

  /** The operator's page of the hut, and an invite to a room there. */
  async function network(room) {
    const hut = things.servers[HUT];
    const page = await signIn(browser, hut);
    const hash = await invite(page, room);
    await page.goto(`${hut.url}/servers`);
    return { page, hash, section: page.getByRole('region', { name: 'Network' }) };
  }

  test('nobody says why there are no pictures where routers let no direct way be', async (t) => {
    const [ann, bob, room] = await people();
    await until('they know each other', async () =>
      'ann' in (await bob.snapshot()).participants && 'bob' in (await ann.snapshot()).participants);
    await ann.sendData({ text: 'can you see me?' });
    await until('messages pass', async () => (await bob.snapshot()).data.some(({ text }) => text === 'can you see me?'));

    const { page, hash, section } = await network(room);
    await section.getByText('No direct way').waitFor({ timeout: 40_000 });
    await section.locator('details', { hasText: 'barn' }).locator('summary').click();
    await section.getByText(/have joined a server that carries media/).waitFor();
    await section.getByText('No way from here for sound and pictures').waitFor();
    await section.evaluate((element) => element.scrollIntoView({ block: 'end' }));
    await shot(page, 'network-no-direct-way');
    const carl = await openPage(browser, things.servers[HUT], hash);
    await joinCall(carl, 'Carl');
    const tile = carl.locator('[data-testid=tile][data-identity=bob]');
    await tile.getByText('No picture arrives from barn').waitFor();
    await shot(carl, 'call-no-picture-arrives');

    // A server that carries media helps without anybody doing anything in the room.
    const start = performance.now();
    await join(CLOUD);
    await meet([ann, bob]);
    t.diagnostic(`media over the cloud ${Math.round(performance.now() - start)} ms after both have begun to join it`);
    await carl.locator('[data-testid=tile][data-identity=bob][data-state=live]').waitFor();
    await section.getByText(/Sound and pictures go over other servers/).waitFor();
    await page.context().close();
  });

  test('pictures take the way over another server although there is a direct one', async (t) => {
    await part(CLOUD);
    await part(MEETING);
    changeRouters();
    const start = performance.now();
    await join(MEETING);
    const [ann, bob, room] = await people();
    await meet([ann, bob]);
    t.diagnostic(`media directly ${Math.round(performance.now() - start)} ms after both have begun to join`);

    const { meeting, net, hut } = things.places;
    const router = things.places['router-hut'];
    const before = [passed(meeting, net), passed(hut, router)];
    await sleep(3_000);
    const now = [passed(meeting, net), passed(hut, router)];
    const [middle, direct] = now.map(({ bytes }, at) => Math.round(((bytes - before[at].bytes) * 8) / 3_000));
    t.diagnostic(`${direct} kbit/s at the hut's router, ${middle} kbit/s at the server in the middle`);
    assert.ok(direct > 200, 'media do not pass the router');
    assert.ok(middle < 60, 'media pass the server in the middle');

    const { page, section } = await network(room);
    await section.getByText('Direct media over UDP').waitFor();
    await section.locator('details', { hasText: 'barn' }).locator('summary').click();
    await section.getByText('Put in touch by').waitFor();
    assert.equal(await section.getByText('No way from here').count(), 0);
    await section.evaluate((element) => element.scrollIntoView({ block: 'start' }));
    await shot(page, 'network-direct');
    await page.context().close();
  });
});
