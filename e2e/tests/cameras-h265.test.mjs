// Cameras that send H.265, in a browser that has no decoder for it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startChromium } from '../lib/browsers.mjs';
import { addCamera } from '../lib/camera.mjs';
import { invite, joinCall, openPage, seesOthers, shot, signIn } from '../lib/page.mjs';
import { missing } from '../lib/settings.mjs';
import { until } from '../lib/wait.mjs';
import { yard } from '../lib/yard.mjs';

const SMALL = { width: 320, height: 180, key: 25 };

const things = yard('cameras-h265');

describe('a camera that sends H.265', { skip: missing('chromium') }, () => {
  let browser;
  let admin;
  const watch = async (room, name, options) => {
    const page = await openPage(browser, things.server, await invite(admin, room), options);
    await joinCall(page, name);
    return page;
  };
  before(async () => {
    browser = await startChromium();
    admin = await signIn(browser, things.server);
  });
  after(() => browser?.close());

  test('is explained to who looks and to the operator, and seen once it sends H.264', async () => {
    const before265 = await things.camera({ '/main': { ...SMALL, video: 'h265' } });
    await addCamera(things.server, before265.url('/main'), { name: 'Yard', room: 'Yard' });
    const said = await until('the camera has been looked at', async () => {
      const list = await things.server.command('camera', 'list');
      return list.includes('H.265') && list;
    });
    assert.match(said, /note: .*H\.264 substream/);

    const page = await watch('Yard', 'Ann');
    const words = page.getByTestId('unplayable');
    await words.getByText('This browser cannot play H.265').waitFor();
    await words.getByText('Ask the operator to set the camera to H.264.').waitFor();
    await shot(page, 'camera-h265');
    await admin.getByRole('link', { name: 'Cameras' }).or(admin.getByRole('tab', { name: 'Cameras' })).first().click();
    await admin.getByText(/H\.264 substream/).first().waitFor();
    await shot(admin, 'camera-h265-operator');

    // What the operator is told to do. Nobody has it connected, so whoever comes next finds out.
    await until('nobody watches', async () => (await things.server.command('camera', 'list')).includes('idle'), { ms: 30_000 });
    await words.waitFor();
    await before265.stop();
    await things.camera({ '/main': { ...SMALL, video: 'h264' } }, { port: before265.port });
    await page.reload();
    await joinCall(page, 'Ann');
    await seesOthers(page, 1);
    await words.waitFor({ state: 'detached' });
    await shot(page, 'camera-h264');
    assert.deepEqual(page.problems, []);
    await page.context().close();
  });

  test('is seen by its H.264 substream', async () => {
    const streams = { '/main': { ...SMALL, width: 640, height: 360, video: 'h265' }, '/sub': { ...SMALL, video: 'h264' } };
    const gate = await things.camera(streams);
    await addCamera(things.server, gate.url('/main'), { name: 'Gate', room: 'Gate', flags: ['--sub', gate.url('/sub')] });
    const page = await watch('Gate', 'Bob');
    await seesOthers(page, 1);
    assert.equal(await page.getByTestId('unplayable').count(), 0);
    await shot(page, 'camera-substream');
    await page.context().close();
  });
});
