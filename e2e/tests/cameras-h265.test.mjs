// Cameras that send H.265, in a browser that has no decoder for it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startChromium } from '../lib/browsers.mjs';
import { startCamera } from '../lib/camera.mjs';
import { invite, joinCall, openPage, seesOthers, shot, signIn } from '../lib/page.mjs';
import { startServer } from '../lib/server.mjs';
import { missing, NETWORK } from '../lib/settings.mjs';
import { until } from '../lib/wait.mjs';

/** Cameras live where the clients do: the server reaches them there. */
const YARD = { ip: NETWORK?.clientIp ?? '127.0.0.1' };
const SMALL = { width: 320, height: 180, key: 25 };

describe('a camera that sends H.265', { skip: missing('chromium') }, () => {
  let server;
  let browser;
  let admin;
  const cameras = [];
  const camera = async (name, streams, port) => {
    const started = await startCamera({ place: YARD, streams, port, name: `h265-${name}` });
    cameras.push(started);
    return started;
  };
  const watch = async (room, name, options) => {
    const page = await openPage(browser, server, await invite(admin, room), options);
    await joinCall(page, name);
    return page;
  };
  before(async () => {
    server = await startServer('cameras-h265');
    browser = await startChromium();
    admin = await signIn(browser, server);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
    await Promise.all(cameras.map((started) => started.stop()));
  });

  test('is explained to who looks and to the operator, and seen once it sends H.264', async () => {
    const before265 = await camera('yard', { '/main': { ...SMALL, video: 'h265' } });
    await server.command('camera', 'add', before265.url('/main'), '--name', 'Yard', '--room', 'Yard');
    const said = await until('the camera has been looked at', async () => {
      const list = await server.command('camera', 'list');
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
    await until('nobody watches', async () => (await server.command('camera', 'list')).includes('idle'), { ms: 30_000 });
    await words.waitFor();
    await before265.stop();
    await camera('yard-264', { '/main': { ...SMALL, video: 'h264' } }, before265.port);
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
    const gate = await camera('gate', streams);
    await server.command('camera', 'add', gate.url('/main'), '--sub', gate.url('/sub'), '--name', 'Gate', '--room', 'Gate');
    const page = await watch('Gate', 'Bob');
    await seesOthers(page, 1);
    assert.equal(await page.getByTestId('unplayable').count(), 0);
    await shot(page, 'camera-substream');
    await page.context().close();
  });
});
