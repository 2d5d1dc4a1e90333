// Two servers: the operator of one lets the other one join, on the pages of both.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startChromium } from '../lib/browsers.mjs';
import { shot, signIn } from '../lib/page.mjs';
import { startServer } from '../lib/server.mjs';
import { missing } from '../lib/settings.mjs';

const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };

describe('servers that join', { skip: missing('chromium') }, () => {
  let cloud;
  let hut;
  let browser;
  before(async () => {
    cloud = await startServer('trunk-cloud', { UMBRELLA_TRUNK_NAME: 'Cloud', UMBRELLA_HTTP_PREFIX: '/u' });
    hut = await startServer('trunk-hut', { UMBRELLA_TRUNK_NAME: 'Hut' }, 1);
    browser = await startChromium();
  });
  after(async () => {
    await browser?.close();
    await hut?.stop();
    await cloud?.stop();
  });

  test('a secret made on one page links both servers, and ends with its revocation', async () => {
    const there = await signIn(browser, cloud);
    const here = await signIn(browser, hut, { ...PHONE, colorScheme: 'dark' });
    for (const [page, server] of [[there, cloud], [here, hut]]) {
      await page.goto(`${server.url}/servers`);
      await page.getByRole('heading', { name: 'This server' }).waitFor();
    }
    // By the keyboard alone.
    await there.getByRole('button', { name: 'Allow a server to join' }).focus();
    await there.keyboard.press('Enter');
    await there.getByLabel('Its name').fill('Hut');
    await there.keyboard.press('Enter');
    const secret = await there.getByTestId('join-secret').inputValue();
    await shot(there, 'servers-secret');
    await there.getByRole('button', { name: 'Done' }).click();

    await here.getByLabel('Its address').fill(cloud.url);
    await here.getByLabel('Join secret').fill(secret);
    await here.getByRole('button', { name: 'Join', exact: true }).click();
    for (const page of [here, there]) {
      await page.getByText('Connected', { exact: true }).waitFor();
    }
    await shot(here, 'servers-phone-dark');
    await shot(there, 'servers-laptop');
    const wide = await here.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, 'the page is wider than the phone');

    await there.getByRole('button', { name: 'Revoke Hut' }).click();
    await there.getByRole('button', { name: 'Revoke', exact: true }).click();
    await here.getByText('Refused', { exact: true }).waitFor();
    await there.getByRole('heading', { name: 'Refused lately' }).waitFor();
    assert.deepEqual([...here.problems, ...there.problems], []);
    assert.deepEqual([...here.foreign, ...there.foreign], []);
  });
});
