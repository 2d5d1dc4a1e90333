// Invites that show only some of the cameras in a room.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startChromium } from '../lib/browsers.mjs';
import { startCamera } from '../lib/camera.mjs';
import { joinCall, openPage, seesOthers, shot, signIn } from '../lib/page.mjs';
import { startServer } from '../lib/server.mjs';
import { missing } from '../lib/settings.mjs';
import { until } from '../lib/wait.mjs';

const NAMES = ['Front door', 'Yard'];

/** Long enough for somebody to be told of what is there already. */
const LONGER = 3_000;

describe('invites that show some of the cameras', { skip: missing('chromium', 'network') }, () => {
  let server;
  let browser;
  let camera;
  before(async () => {
    server = await startServer('cameras-grants');
    browser = await startChromium();
    const stream = { video: 'h264', width: 320, height: 180, audio: 'aac' };
    const streams = { '/door': stream, '/yard': { ...stream, pattern: 'smpte' } };
    camera = await startCamera({ place: server.place, streams, name: 'camera-grants' });
    for (const [index, path] of ['/door', '/yard'].entries()) {
      await server.command('camera', 'add', camera.url(path), '--name', NAMES[index], '--room', 'Home');
    }
  });
  after(async () => {
    await browser?.close();
    await camera?.stop();
    await server?.stop();
  });

  test('let guests see those, and tell them of no other', async () => {
    const admin = await signIn(browser, server);
    const some = await invite(admin, async (form) => {
      await form.getByLabel('Only these cameras').check();
      await form.getByLabel('Yard').check();
      await shot(admin, 'invite-some-cameras');
    });
    const all = await invite(admin);
    await admin.getByRole('list', { name: 'Invite links' }).getByText('sees 1 of the cameras: Yard').waitFor();

    const gus = await openPage(browser, server, some);
    const told = wholeTold(gus);
    await gus.reload();
    await joinCall(gus, 'Gus');
    await seesOthers(gus, 1);
    const ann = await openPage(browser, server, all);
    await joinCall(ann, 'Ann');
    await seesOthers(ann, 2);
    assert.deepEqual(await cameras(ann), NAMES);
    await shot(ann, 'room-all-cameras');

    // What is not shown is not there: nor when others come, nor when it leaves and comes back.
    const door = await idOf(ann, 'Front door');
    await server.command('camera', 'remove', 'Front door');
    await until('the door is gone', async () => (await cameras(ann)).length === 1);
    await server.command('camera', 'add', camera.url('/door'), '--name', 'Front door', '--room', 'Home');
    await until('the door is back', async () => (await cameras(ann)).length === 2);
    await gus.waitForTimeout(LONGER);
    assert.deepEqual(await cameras(gus), ['Yard']);
    await shot(gus, 'room-some-cameras');
    const yard = await idOf(gus, 'Yard');
    for (const word of ['Front door', door, await idOf(ann, 'Front door')]) {
      assert.ok(!told.some((frame) => frame.includes(word)), `the guest is told of ${word}`);
    }
    assert.ok(told.some((frame) => frame.includes(yard)), 'nothing was overheard');
    await gus.context().close();
    await ann.context().close();
  });
});

/** Makes an invite to `Home`; the part of the link from `#` on. */
async function invite(admin, fill = async () => {}) {
  await admin.getByRole('link', { name: 'Invites' }).first().click();
  const form = admin.getByRole('form', { name: 'New invite' });
  await form.getByLabel('Room').fill('Home');
  await fill(form);
  await form.getByRole('button', { name: 'Create invite' }).click();
  const url = await admin.getByTestId('invite-url').inputValue();
  await admin.getByRole('button', { name: 'Done' }).click();
  return new URL(url).hash;
}

/** Everything that signalling tells a page from its next load on. */
function wholeTold(page) {
  const frames = [];
  page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => frames.push(payload.toString('latin1'))));
  return frames;
}

/** The tiles of cameras that somebody sees, by name. */
async function cameras(page) {
  const tiles = page.locator('[data-testid=tile][data-identity^="CA_"]');
  const texts = await tiles.allInnerTexts();
  const named = texts.map((text) => NAMES.find((name) => text.includes(name)) ?? text);
  return named.sort();
}

async function idOf(page, name) {
  const tile = page.locator('[data-testid=tile][data-identity^="CA_"]', { hasText: name });
  return tile.getAttribute('data-identity');
}
