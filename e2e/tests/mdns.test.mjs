// Servers at both ends of a cable find each other and are reached by their names, without a name
// server and without anybody setting up anything.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startAvahi } from '../lib/avahi.mjs';
import { startChromium } from '../lib/browsers.mjs';
import { addCamera, cameraOf, startCamera } from '../lib/camera.mjs';
import { makePlaces, removePlaces } from '../lib/network.mjs';
import { shot, signIn } from '../lib/page.mjs';
import { startServer } from '../lib/server.mjs';
import { missing, NETWORK } from '../lib/settings.mjs';
import { linked } from '../lib/sites.mjs';
import { sleep, until } from '../lib/wait.mjs';

const PHONE = { width: 360, height: 740 };
const LAPTOP = { width: 1280, height: 800 };

const env = (name, host) => ({ UMBRELLA_MDNS: '1', UMBRELLA_MDNS_NAME: host, UMBRELLA_TRUNK_NAME: name });
const nearby = async (server) => JSON.parse(await server.command('trunk', 'nearby', '--json')).servers;

async function finds(server, name) {
  let found;
  await until(`${server.name} finds ${name}`, async () => {
    found = (await nearby(server)).find((it) => it.name === name);
    return found !== undefined;
  });
  return found;
}

let places = {};
before(() => {
  if (NETWORK) places = makePlaces(NETWORK, ['hut', 'barn', 'desk', 'shelf'], [['hut', 'barn'], ['desk', 'shelf']]);
});
after(() => removePlaces(places));

describe('servers of one network', { skip: missing('chromium', 'network') }, () => {
  let hut;
  let barn;
  before(async () => {
    hut = await startServer('mdns-hut', env('Hut', 'hut'), 0, places.hut);
    barn = await startServer('mdns-barn', { ...env('Barn', 'barn'), UMBRELLA_HTTP_PREFIX: '/u' }, 0, places.barn);
  });
  after(async () => {
    await hut?.stop();
    await barn?.stop();
  });

  test('find each other, and one joins the other by its name', async () => {
    const found = await finds(hut, 'Barn');
    assert.deepEqual([found.url, found.linked], ['https://barn.local:8081/u', false]);
    assert.equal((await finds(barn, 'Hut')).url, 'https://hut.local:8081');
    // Nobody finds themselves.
    assert.equal((await nearby(hut)).length, 1);

    const browser = await startChromium();
    try {
      const page = await signIn(browser, hut);
      await page.goto(`${hut.url}/servers`);
      const section = page.getByRole('region', { name: 'On this network' });
      await section.getByText('https://barn.local:8081/u').waitFor();
      for (const [name, size] of [['laptop', LAPTOP], ['phone', PHONE]]) {
        for (const colorScheme of ['light', 'dark']) {
          await page.setViewportSize(size);
          await page.emulateMedia({ colorScheme });
          await section.evaluate((element) => element.scrollIntoView({ block: 'start' }));
          await shot(page, `nearby-${name}-${colorScheme}`);
          const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(wide <= 0, `the page is wider than the ${name}`);
        }
      }
      await section.getByRole('button', { name: 'Join Barn' }).click();
      assert.equal(await page.getByLabel('Its address').inputValue(), 'https://barn.local:8081/u');
      await page.getByLabel('Join secret').fill(await barn.command('trunk', 'allow', '--name', 'Hut'));
      await page.getByRole('button', { name: 'Join', exact: true }).click();
      await section.getByText('Linked').waitFor();
      assert.equal((await linked(hut, 'https://barn.local:8081/u')).state, 'connected');
      assert.equal((await finds(barn, 'Hut')).linked, true);
      assert.deepEqual([...page.problems, ...page.foreign], []);
    } finally {
      await browser.close();
    }
  });

  test('are named by the start message', async () => {
    await until('the start message', () => barn.log().includes('https://barn.local:8081/u/sfu'));
    assert.match(await hut.command('trunk', 'nearby'), /^Barn: https:\/\/barn\.local:8081\/u \(ND_[\w-]+, linked\)$/);
  });

  test('show a camera that is set by the name of its machine', async () => {
    const camera = await startCamera({
      name: 'camera-mdns',
      place: { ...places.barn, ip: places.barn.cables.hut.ip },
      streams: { '/main': { pattern: 'snow', width: 320, height: 180, bitrate: 500 } },
    });
    try {
      const url = new URL(camera.url('/main').replace(/^rtsp/, 'http'));
      url.hostname = 'barn.local';
      await addCamera(hut, url.href.replace(/^http/, 'rtsp'), { name: 'Gate', room: 'yard', flags: ['--always-on'] });
      await until('the camera is live', async () => (await cameraOf(hut, 'Gate')).state === 'live');
    } finally {
      await camera.stop();
    }
  });

  test('leave the list when they end', async () => {
    const other = await startServer('mdns-second', env('Second', 'barn'), 1, places.barn);
    try {
      // At a machine that has its name already, by another program.
      assert.equal((await finds(hut, 'Second')).url, 'https://barn.local:8082');
    } finally {
      await other.stop();
    }
    await until('it is gone', async () => (await nearby(hut)).every(({ name }) => name !== 'Second'));
    assert.equal((await finds(hut, 'Barn')).url, 'https://barn.local:8081/u');
  });

  test('with one name get two', async () => {
    const other = await startServer('mdns-twin', env('Twin', 'hut'), 2, places.barn);
    try {
      assert.equal((await finds(hut, 'Twin')).url, 'https://hut-2.local:8083');
      assert.match(other.log(), /another machine has this machine's name.*hut-2\.local/);
      assert.equal((await finds(barn, 'Hut')).url, 'https://hut.local:8081');
    } finally {
      await other.stop();
    }
  });
});

describe('a machine with avahi', { skip: missing('network', 'avahi') }, () => {
  test('keeps its name, and the service is found under it', async () => {
    const running = [];
    try {
      const avahi = await startAvahi(places.desk, 'desk');
      running.push(avahi);
      const desk = await startServer('mdns-desk', env('Desk', 'desk'), 0, places.desk);
      running.push(desk);
      const shelf = await startServer('mdns-shelf', env('Shelf', 'shelf'), 0, places.shelf);
      running.push(shelf);
      assert.equal((await finds(shelf, 'Desk')).url, 'https://desk.local:8081');
      assert.match(desk.log(), /another program announces this machine/);
      const address = 'https://desk.local:8081';
      await shelf.command('trunk', 'add', address, '--secret', await desk.command('trunk', 'allow', '--name', 'Shelf'));
      await until('they are linked', async () => (await linked(shelf, address)).state === 'connected');
      await sleep(2_000);
      assert.doesNotMatch(avahi.log(), /conflict/i);
      await desk.stop();
      running.splice(running.indexOf(desk), 1);
      await sleep(1_500);
      assert.doesNotMatch(avahi.log(), /conflict|Withdrawing address/i);
      assert.doesNotMatch(avahi.log(), /goodbye record for one of our records \[desk\.local.*10\.8/);
    } finally {
      for (const one of running.reverse()) await one.stop();
    }
  });
});
