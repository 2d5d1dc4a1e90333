// Cameras on the page: an operator adds one, and whoever looks is told how it is.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startChromium } from '../lib/browsers.mjs';
import { addCamera, isNow } from '../lib/camera.mjs';
import { documented, invite, joinCall, openPage, shot, signIn } from '../lib/page.mjs';
import { BARS, showsBars } from '../lib/pictures.mjs';
import { missing } from '../lib/settings.mjs';
import { until } from '../lib/wait.mjs';
import { yard } from '../lib/yard.mjs';

const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, colorScheme: 'dark' };
const GUARD = { user: 'ann', password: 'a/b?c' };

const things = yard('cameras-page');

/** The colours of a canvas or a video at these points, read by the page itself. */
function colours(locator, points) {
  return locator.evaluate((element, places) => {
    const [width, height] = [element.videoWidth ?? element.width, element.videoHeight ?? element.height];
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d');
    context.drawImage(element, 0, 0);
    return places.map(([x, y]) => [...context.getImageData(x * width, y * height, 1, 1).data.slice(0, 3)]);
  }, points);
}

describe('cameras on the page', { skip: missing('chromium', 'network') }, () => {
  let browser;
  let admin;
  before(async () => {
    browser = await startChromium();
    admin = await signIn(browser, things.server);
  });
  after(() => browser?.close());

  const cameras = () => admin.getByRole('link', { name: 'Cameras' }).or(admin.getByRole('tab', { name: 'Cameras' })).first().click();

  test('an operator pastes an address, sees what is there, adds it and removes it', async () => {
    const camera = await things.camera({ '/main': { pattern: 'smpte75', audio: 'aac' } }, GUARD);
    await cameras();
    const form = admin.getByRole('region', { name: 'Add a camera' });
    await form.getByLabel('Address').first().fill(camera.url('/main'));
    await form.getByLabel('User').first().focus();
    assert.equal(await form.getByLabel('Password').first().inputValue(), GUARD.password);
    assert.ok(!(await form.getByLabel('Address').first().inputValue()).includes('@'), 'the password stands in the address');

    await form.getByLabel('Password').first().fill('wrong');
    await form.getByRole('button', { name: 'Test' }).click();
    const result = admin.getByRole('region', { name: 'Result of the test' });
    await result.getByText(/password/).first().waitFor();
    await shot(admin, 'camera-wrong-password');
    await form.getByLabel('Password').first().fill(GUARD.password);
    await form.getByRole('button', { name: 'Test' }).click();
    await result.getByText('There is a picture.').waitFor();
    await result.getByText('640 × 360').first().waitFor();
    await result.getByText('AAC').first().waitFor();
    const still = result.getByRole('img', { name: 'The camera’s last key frame' });
    await still.waitFor();
    showsBars(await colours(still, BARS));
    await documented(admin, 'camera-tested');

    await form.getByLabel('Name').fill('Front door');
    await form.getByLabel('Room').fill('Yard');
    await form.getByRole('button', { name: 'Add camera' }).click();
    const row = admin.getByTestId('camera').filter({ hasText: 'Front door' });
    await row.waitFor();
    await until('the list says what it sends', async () => /H\.?264/.test(await row.innerText()));
    assert.ok(!(await admin.content()).includes('a/b?c'), 'the password is on the page');
    await shot(admin, 'cameras');
    await row.getByRole('button', { name: 'Remove Front door' }).click();
    await admin.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click();
    await row.waitFor({ state: 'detached' });
  });

  test('a tile says why there is no picture, and shows it again when there is', async () => {
    const stream = { '/main': { pattern: 'smpte75', audio: 'aac' } };
    const camera = await things.camera(stream, GUARD);
    const barn = await things.camera({ '/main': { pattern: 'ball', width: 320, height: 180 } });
    const add = (name, url) => addCamera(things.server, url, { name, room: 'Yard' });
    await add('Gate', camera.url('/main'));
    await add('Shed', camera.url('/main').replace(':a', ':b'));
    await add('Barn', barn.url('/main'));
    await isNow(things.server, 'Shed', 'refused');
    await isNow(things.server, 'Barn', 'live', 'idle');
    const link = await invite(admin, 'Yard', { watchOnly: true });
    const ann = await openPage(browser, things.server, link);
    await joinCall(ann, 'Ann');
    const bob = await openPage(browser, things.server, link, PHONE);
    await joinCall(bob, 'Bob');
    await ann.bringToFront();
    const tile = (page, name) => page.getByRole('figure', { name });
    const gate = tile(ann, 'Gate');
    await until('the picture moves', () => gate.locator('video').evaluate((video) => video.videoWidth > 0 && video.currentTime > 0.5));
    showsBars(await colours(gate.locator('video'), BARS));
    await tile(ann, 'Shed').locator('[data-testid=camera-state][data-state=refused]').getByText(/password/).waitFor();
    await barn.stop();
    await tile(ann, 'Barn').locator('[data-testid=camera-state][data-state=reconnecting]').waitFor();
    await documented(ann, 'camera-tiles');
    await shot(bob, 'cameras-phone-dark');
    await cameras();
    await admin.getByTestId('camera').nth(2).waitFor();
    await documented(admin, 'cameras');
    await ann.bringToFront();

    await camera.stop();
    for (const page of [ann, bob]) await tile(page, 'Gate').locator('[data-testid=camera-state][data-state=reconnecting]').waitFor();
    await shot(ann, 'cameras-reconnecting');
    await shot(bob, 'cameras-reconnecting-phone-dark');
    await things.camera(stream, { ...GUARD, port: camera.port });
    await gate.locator('[data-testid=camera-state]').waitFor({ state: 'detached' });
    await until('the picture is there again', async () => {
      showsBars(await colours(gate.locator('video'), BARS));
      return true;
    });
    assert.deepEqual([...ann.problems, ...ann.foreign], []);
    await ann.context().close();
    await bob.context().close();
  });
});
