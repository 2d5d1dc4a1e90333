// What flows between two servers is on the operator's page, as a map and in words.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startChromium } from '../lib/browsers.mjs';
import { invite, joinCall, openPage, shot, signIn } from '../lib/page.mjs';
import { missing } from '../lib/settings.mjs';
import { sites } from '../lib/sites.mjs';
import { until } from '../lib/wait.mjs';

const PHONE = { width: 360, height: 740 };

const net = sites('trunk-map', ['Workshop', 'Cloud'], [[0, 1]]);

describe('the network on the page', { skip: missing('chromium') }, () => {
  test('shows both servers, the link, and each layer on it once', async () => {
    const [ann, bob] = await Promise.all([0, 1].map((at) => net.clients[at].join('chromium', 'map', ['ann', 'bob'][at])));
    await ann.publish({ camera: true, microphone: true });
    await until('bob knows ann', async () => 'ann' in (await bob.snapshot()).participants);
    await bob.seesMoving('ann');

    const browser = await startChromium();
    try {
      const page = await signIn(browser, net.servers[0]);
      await page.goto(`${net.servers[0].url}/servers`);
      const network = page.getByRole('region', { name: 'Network' });
      const servers = network.getByRole('list', { name: 'Servers of the network' });
      await servers.getByText('This server').waitFor();
      await servers.getByText(/^Linked to Cloud \(.*ms\)$/).waitFor();
      assert.equal(await servers.getByRole('listitem').count(), 2);
      // By the keyboard alone.
      await network.locator('summary').focus();
      await page.keyboard.press('Enter');
      await network.getByText(/^Media over (UDP|TCP)$/).waitFor();
      await network.getByRole('heading', { name: 'Tracks that go: 2' }).waitFor();
      await network.getByRole('heading', { name: 'Tracks that come: 0' }).waitFor();
      await network.getByText("ann's name: camera").waitFor();
      await network.getByText(/out [1-9].*bit\/s/).waitFor();
      assert.equal(await network.getByText(/\d times/).count(), 0, 'a layer is on the link twice');
      await looks(page, network);
      assert.deepEqual([...page.problems, ...page.foreign], []);
      await tells(page);
      await showsSites(browser);
    } finally {
      await browser.close();
    }
  });
});

/** Pictures of the section, on a desk and on a phone, by day and by night. */
async function looks(page, section) {
  for (const [name, size] of [['laptop', { width: 1280, height: 800 }], ['phone', PHONE]]) {
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme });
      await section.evaluate((element) => element.scrollIntoView({ block: 'start' }));
      await shot(page, `network-${name}-${colorScheme}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `the page is wider than the ${name}`);
    }
  }
}

/** The figures for monitoring say so too. */
async function tells(page) {
  const text = await page.evaluate(async () => (await fetch('/metrics')).text());
  assert.match(text, /umbrella_trunks\{state="connected"\} 1/);
  assert.match(text, /umbrella_trunk_info\{node="ND_[\w-]+",name="Cloud"\} 1/);
  assert.match(text, /umbrella_trunk_media_up\{node="ND_[\w-]+"\} 1/);
  assert.match(text, /umbrella_trunk_tracks\{node="ND_[\w-]+",direction="out"\} 2/);
  assert.match(text, /umbrella_trunk_bytes_total\{node="ND_[\w-]+",direction="out"\} [1-9]/);
}

/** Somebody at the other site sees on the page where ann is; of those at the own site nothing is said. */
async function showsSites(browser) {
  const cloud = net.servers[1];
  const hash = await invite(await signIn(browser, cloud), 'map');
  const carl = await openPage(browser, cloud, hash);
  await joinCall(carl, 'Carl');
  const tile = (identity) => carl.locator(`[data-testid=tile][data-identity=${identity}]`);
  await tile('ann').locator('.site').getByText('Workshop').waitFor();
  await tile('bob').waitFor();
  assert.equal(await tile('bob').locator('.site').count(), 0);
  await carl.getByRole('button', { name: 'Participants' }).click();
  await carl.locator('.person[data-identity=ann]').getByText('Workshop').waitFor();
  await shot(carl, 'network-room');
}
