// Takes pictures of the page with the mock API, for eyes: `npm run mock` first, then this.
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';

const base = process.env.PAGE ?? 'http://localhost:5173/';
const out = process.env.OUT ?? 'shots';
const only = process.argv[2] ?? '';
const looks = (process.env.LOOKS ?? 'wide-light wide-dark phone-light phone-dark').split(' ');

const sizes = { wide: { width: 1280, height: 800 }, phone: { width: 360, height: 740 } };

const scenes = {
  start: { hash: '#/' },
  login: { hash: '#/login' },
  setup: { hash: '#/setup/abc' },
  closed: { hash: '#/join/expired' },
  lobby: { hash: '#/join/abc' },
  watch: { hash: '#/join/watch' },
  rooms: {
    hash: '#/admin',
    admin: true,
    act: (page) => page.getByRole('button', { name: 'People in Workshop' }).click(),
  },
  confirm: {
    hash: '#/admin',
    admin: true,
    act: (page) => page.getByRole('button', { name: 'Delete Family' }).click(),
  },
  invites: { hash: '#/admin/invites', admin: true },
  inviteSome: {
    hash: '#/admin/invites',
    admin: true,
    act: async (page) => {
      await page.getByLabel('Room').fill('Workshop');
      await page.getByLabel('Only these cameras').check();
      await page.getByLabel('Front door', { exact: true }).check();
      await page.getByLabel('Garage').check();
      const legend = page.getByText('Guests see', { exact: true });
      await legend.evaluate((element) => element.scrollIntoView({ block: 'start' }));
    },
  },
  share: {
    hash: '#/admin/invites',
    admin: true,
    act: async (page) => {
      await page.getByLabel('Room').fill('Workshop');
      await page.getByRole('button', { name: 'Create invite' }).click();
    },
  },
  keys: { hash: '#/admin/keys', admin: true },
  cameras: { hash: '#/admin/cameras', admin: true },
  camera: {
    hash: '#/admin/cameras',
    admin: true,
    act: async (page) => {
      await page.getByLabel('Address', { exact: true }).fill('rtsp://192.168.1.20/stream1');
      await page.getByText('More settings').click();
      await page.getByRole('button', { name: 'Test' }).click();
      const result = page.getByRole('region', { name: 'Result of the test' });
      await result.evaluate((element) => element.scrollIntoView({ block: 'end' }));
    },
  },
  servers: { hash: '#/admin/servers', admin: true },
  nearby: {
    hash: '#/admin/servers',
    admin: true,
    act: (page) =>
      page
        .getByRole('region', { name: 'On this network' })
        .evaluate((element) => element.scrollIntoView({ block: 'start' })),
  },
  network: {
    hash: '#/admin/servers',
    admin: true,
    act: async (page) => {
      await page.locator('.network-flow summary').first().click();
      const network = page.getByRole('region', { name: 'Network' });
      await network.evaluate((element) => element.scrollIntoView({ block: 'start' }));
    },
  },
  allowed: {
    hash: '#/admin/servers',
    admin: true,
    act: async (page) => {
      await page.getByRole('button', { name: 'Allow a server to join' }).click();
      await page.getByLabel('Its name').fill('Boat house');
      await page.getByRole('button', { name: 'Make join secret' }).click();
    },
  },
  status: { hash: '#/admin/status', admin: true },
  callcamera: { hash: 'mock/room.html?people=5&camera=refused' },
  callunplayable: {
    hash: 'mock/room.html?people=5&camera=idle&unplayable=Front door,Ada Lovelace',
  },
  call1: { hash: 'mock/room.html?people=1' },
  call2: { hash: 'mock/room.html?people=2' },
  call5: { hash: 'mock/room.html?people=5&state=reconnecting' },
  call30: { hash: 'mock/room.html?people=30' },
  callSpeaker: {
    hash: 'mock/room.html?people=6',
    act: (page) => page.getByRole('button', { name: 'Speaker view' }).click(),
  },
  callChat: {
    hash: 'mock/room.html?people=4',
    act: (page) => page.getByRole('button', { name: 'Chat', exact: true }).click(),
  },
  callPeople: {
    hash: 'mock/room.html?people=5',
    act: (page) => page.getByRole('button', { name: 'Participants' }).click(),
  },
  callSettings: {
    hash: 'mock/room.html?people=3',
    act: (page) => page.getByRole('button', { name: 'Settings' }).click(),
  },
  callHelp: {
    hash: 'mock/room.html?people=3',
    act: (page) => page.getByRole('button', { name: 'Keyboard shortcuts' }).click(),
  },
};

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--no-first-run',
    '--disable-background-networking',
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
  ],
});
mkdirSync(out, { recursive: true });
for (const [sizeName, viewport] of Object.entries(sizes)) {
  for (const colorScheme of ['light', 'dark']) {
    if (!looks.includes(`${sizeName}-${colorScheme}`)) continue;
    const context = await browser.newContext({ viewport, colorScheme });
    const page = await context.newPage();
    page.on('pageerror', (error) => console.error('page error:', error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') console.error('console:', message.text());
    });
    for (const [name, scene] of Object.entries(scenes)) {
      if (!name.startsWith(only)) continue;
      await page.goto('about:blank');
      await page.request.post(`${base}api/${scene.admin ? 'login' : 'logout'}`, {
        data: { password: 'umbrella' },
      });
      await page.goto(base + scene.hash);
      await page.waitForTimeout(name.startsWith('call') ? 2000 : 700);
      await scene.act?.(page);
      await page.waitForTimeout(500);
      await page.screenshot({ path: `${out}/${name}-${sizeName}-${colorScheme}.png` });
    }
    await context.close();
  }
}
await browser.close();
