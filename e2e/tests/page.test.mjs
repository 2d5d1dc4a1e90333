// The page: an operator sets it up and invites, guests meet in the lobby and the room.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startChromium } from '../lib/browsers.mjs';
import { invite, joinCall, openPage, seesOthers, shot, signIn } from '../lib/page.mjs';
import { startServer } from '../lib/server.mjs';
import { missing } from '../lib/settings.mjs';
import { until } from '../lib/wait.mjs';

const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };
const DARK = { colorScheme: 'dark' };

describe('the page', { skip: missing('chromium') }, () => {
  let server;
  let browser;
  let admin;
  before(async () => {
    server = await startServer('page');
    browser = await startChromium();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test('an operator sets a password with the one-time link and makes a room', async () => {
    admin = await signIn(browser, server);
    await admin.getByLabel('New room').fill('Workshop');
    await admin.getByRole('button', { name: 'Create room' }).click();
    await admin.getByRole('list', { name: 'Rooms' }).getByText('Workshop').waitFor();
    await shot(admin, 'admin-rooms');
  });

  test('a guest meets another through an invite link, on a laptop and a phone', async () => {
    const link = await invite(admin, 'Workshop');
    const ann = await openPage(browser, server, link);
    const bob = await openPage(browser, server, link, { ...PHONE, ...DARK });
    for (const [page, name] of [[ann, 'laptop'], [bob, 'phone-dark']]) {
      await page.getByTestId('preview').waitFor();
      await shot(page, `lobby-${name}`);
    }
    await joinCall(ann, 'Ann');
    await joinCall(bob, 'Bob');
    await seesOthers(bob, 1);
    await bob.screenshot();
    await ann.bringToFront();
    await seesOthers(ann, 1);
    await shot(ann, 'room-laptop');
    await shot(bob, 'room-phone-dark');
    await fitsItsWidth(bob);

    await chat(ann, bob);
    await muteIsSeen(ann, bob);
    await leave(bob);
    await ann.locator('[data-testid=tile][data-local=false]').waitFor({ state: 'detached' });
    assert.deepEqual([...ann.problems, ...bob.problems], []);
    assert.deepEqual([...ann.foreign, ...bob.foreign], [], 'the page asked somebody else for something');
    await ann.context().close();
    await bob.context().close();
  });

  test('an operator sees who is in, mutes a track and sends somebody out', async () => {
    const link = await invite(admin, 'Workshop');
    const eve = await openPage(browser, server, link, DARK);
    await joinCall(eve, 'Eve');
    await admin.bringToFront();
    await admin.getByRole('link', { name: 'Rooms' }).or(admin.getByRole('tab', { name: 'Rooms' })).first().click();
    await admin.getByRole('button', { name: 'People in Workshop' }).click();
    await admin.getByRole('button', { name: 'Mute microphone of Eve' }).click();
    await admin.getByRole('button', { name: 'The microphone of Eve is muted' }).waitFor();
    await eve.getByRole('button', { name: 'Unmute microphone' }).waitFor();
    await shot(admin, 'admin-people');
    await admin.getByRole('button', { name: 'Remove Eve' }).click();
    await admin.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click();
    await eve.locator('[data-testid=left][data-reason=removed]').waitFor();
    await shot(eve, 'removed-dark');
    await eve.context().close();
  });

  test('a moderator mutes, silences and removes somebody, and nobody else can', async () => {
    const [forAll, forMo] = [await invite(admin, 'Workshop'), await invite(admin, 'Workshop', { moderates: true })];
    const mo = await openPage(browser, server, forMo, PHONE);
    await joinCall(mo, 'Mo');
    const fay = await openPage(browser, server, forAll, DARK);
    await joinCall(fay, 'Fay');
    await seesOthers(mo, 1);
    await fay.getByRole('button', { name: /^Participants/ }).click();
    await fay.getByText('Mo (moderator)').waitFor();
    assert.equal(await fay.getByRole('button', { name: /^Moderate/ }).count(), 0);

    await mo.getByRole('button', { name: /^Participants/ }).click();
    await mo.getByRole('button', { name: 'Mute everybody' }).waitFor();
    await shot(mo, 'moderator-people-phone');
    await mo.getByRole('button', { name: 'Moderate Fay' }).click();
    const dialog = mo.getByRole('dialog', { name: 'Fay' });
    const click = (name) => dialog.getByRole('button', { name, exact: true }).click();
    await click('Mute the microphone');
    await fay.getByRole('button', { name: 'Unmute microphone' }).waitFor();
    await fay.getByText('A moderator has switched your microphone off.').first().waitFor();
    await shot(mo, 'moderate-phone');
    await fitsItsWidth(mo);
    await click('Switch the camera off');
    await fay.getByRole('button', { name: 'Start camera' }).waitFor();
    await click('Do not let them talk or share');
    await fay.getByText('You may no longer talk or share.').first().waitFor();
    await fay.getByRole('button', { name: 'Start camera' }).waitFor({ state: 'detached' });
    await shot(fay, 'silenced-dark');
    await click('Let them talk and share');
    await fay.getByRole('button', { name: 'Start camera' }).click();
    await dialog.getByRole('button', { name: 'Switch the camera off' }).waitFor();
    await click('Remove from the room');
    await mo.getByRole('dialog', { name: 'Remove Fay?' }).getByRole('button', { name: 'Remove', exact: true }).click();
    await fay.locator('[data-testid=left][data-reason=removed]').waitFor();

    await fay.getByRole('button', { name: 'Join again' }).click();
    await fay.getByRole('button', { name: 'Join', exact: true }).click();
    await fay.getByText('A moderator has removed you from this room.').waitFor();
    await shot(fay, 'kept-out-dark');
    await mo.context().close();
    await fay.context().close();
  });

  test('a link to watch shows no devices and lets in as often as it says', async () => {
    const link = await invite(admin, 'Workshop', { watchOnly: true, uses: '1' });
    const first = await openPage(browser, server, link, PHONE);
    await first.getByText('This link is for watching').waitFor();
    assert.equal(await first.getByTestId('preview').count(), 0);
    await shot(first, 'lobby-watch-phone');
    await joinCall(first, 'Walter');
    const second = await openPage(browser, server, link);
    await until('the second is told that the link is used up', async () => {
      const join = second.getByRole('button', { name: 'Join', exact: true });
      if (await join.count()) {
        await second.getByLabel('Your name').fill('Late');
        await join.click();
      }
      return /used|ended|no longer|expired|valid/i.test(await second.locator('body').innerText());
    }, { every: 500 });
    await shot(second, 'invite-used-up');
    await first.context().close();
    await second.context().close();
  });

  test('the other admin pages and the sign-in work', async () => {
    for (const [name, text] of [['API keys', 'e2ekey'], ['Status', '40000']]) {
      const place = admin.getByRole('link', { name }).or(admin.getByRole('tab', { name })).first();
      await place.click();
      await admin.getByText(text).first().waitFor();
      await shot(admin, `admin-${name.toLowerCase().replace(' ', '-')}`);
    }
    const stranger = await openPage(browser, server, '#/login', { ...PHONE, ...DARK });
    await stranger.getByLabel('Admin password').fill('wrong password');
    await stranger.getByRole('button', { name: 'Sign in' }).click();
    await stranger.getByRole('alert').waitFor();
    await shot(stranger, 'login-phone-dark');
    await stranger.context().close();
  });

  test('somebody without camera and microphone can watch and listen', async () => {
    const link = await invite(admin, 'Workshop');
    const bare = await openPage(browser, server, link, { permissions: [] });
    await bare.evaluate(() => {
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('none', 'NotFoundError'));
    });
    await joinCall(bare, 'Bare');
    await shot(bare, 'room-without-devices');
    await bare.context().close();
  });
});

async function chat(ann, bob) {
  await ann.getByRole('button', { name: /^Chat/ }).click();
  await ann.getByRole('textbox', { name: 'Message' }).fill('hello from the laptop');
  await ann.getByRole('button', { name: 'Send' }).click();
  await bob.getByRole('button', { name: /^Chat/ }).click();
  await bob.getByRole('list', { name: 'Messages' }).getByText('hello from the laptop').waitFor();
  await shot(bob, 'chat-phone-dark');
  await bob.keyboard.press('Escape');
}

async function muteIsSeen(ann, bob) {
  await ann.getByRole('button', { name: 'Stop camera' }).click();
  await bob.locator('[data-testid=tile][data-local=false][data-state=muted]').waitFor();
  await ann.getByRole('button', { name: 'Start camera' }).click();
  await bob.locator('[data-testid=tile][data-local=false][data-state=live]').waitFor();
}

async function leave(page) {
  await page.getByRole('button', { name: 'Leave' }).click();
  await page.locator('[data-testid=left][data-reason=self]').waitFor();
}

async function fitsItsWidth(page) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `the page is ${over} pixels wider than the screen`);
}
