// Chromium and Firefox behind one small interface: a tab that calls the page's client.

import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import { CHROMIUM, FIREFOX, HERE, NETWORK } from './settings.mjs';

const CHROMIUM_FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required',
  '--disable-features=WebRtcHideLocalIpsWithMdns,CalculateNativeWinOcclusion',
  '--disable-backgrounding-occluded-windows', '--disable-renderer-backgrounding',
  '--disable-background-timer-throttling',
  ...(NETWORK ? [] : ['--allow-loopback-in-peer-connection']),
];

const FIREFOX_PREFERENCES = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.autoplay.default': 0,
  'media.autoplay.blocking_policy': 0,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'app.update.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
};

/** Starts Chromium; the caller closes it. */
export function startChromium(flags = []) {
  return chromium.launch({ executablePath: CHROMIUM, headless: true, args: [...CHROMIUM_FLAGS, ...flags] });
}

/** Starts Firefox; the caller closes it. */
export function startFirefox() {
  return puppeteer.launch({
    browser: 'firefox',
    executablePath: FIREFOX,
    headless: true,
    acceptInsecureCerts: true,
    extraPrefsFirefox: FIREFOX_PREFERENCES,
  });
}

/** Serves the bundled test page on localhost, which browsers hold to be a secure context. */
export async function serveTestPage() {
  const types = {
    '/': ['index.html', 'text/html'],
    '/client.js': ['client.js', 'text/javascript'],
    '/e2ee.worker.js': ['e2ee.worker.js', 'text/javascript'],
  };
  const server = createServer((request, response) => {
    const [file, type] = types[request.url] ?? [];
    const path = file && join(HERE, '.build', file);
    if (!path || !existsSync(path)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': type });
    createReadStream(path).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://localhost:${server.address().port}/`, close: () => server.close() };
}

/** The browsers of one test file, each started when first needed. */
export class Browsers {
  #started = new Map();
  #page;

  async tab(kind) {
    this.#page ??= serveTestPage();
    const { url } = await this.#page;
    if (!this.#started.has(kind)) this.#started.set(kind, kind === 'firefox' ? startFirefox() : startChromium());
    const browser = await this.#started.get(kind);
    if (kind === 'firefox') {
      const page = await browser.newPage();
      await page.goto(url, { waitUntil: 'load' });
      return page;
    }
    const context = await browser.newContext({ ignoreHTTPSErrors: true, permissions: ['camera', 'microphone'] });
    const page = await context.newPage();
    await page.goto(url, { waitUntil: 'load' });
    return page;
  }

  async close() {
    for (const browser of this.#started.values()) await (await browser).close();
    (await this.#page)?.close();
  }
}
