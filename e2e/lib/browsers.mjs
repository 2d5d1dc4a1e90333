// Chromium and Firefox behind one small interface: a tab that calls the page's client.

import { createReadStream, existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import { inside } from './network.mjs';
import { CHROMIUM, FIREFOX, HERE, NETWORK } from './settings.mjs';

const CHROMIUM_FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required',
  '--disable-features=WebRtcHideLocalIpsWithMdns,CalculateNativeWinOcclusion,LocalNetworkAccessChecks,'
    + 'BlockInsecurePrivateNetworkRequests',
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
export function startChromium(flags = [], executablePath = CHROMIUM) {
  return chromium.launch({ executablePath, headless: true, args: [...CHROMIUM_FLAGS, ...flags] });
}

/** Chromium in a namespace other than the tests'; the caller closes it. */
function startChromiumIn(namespace, flags) {
  const script = join(HERE, '.build', `chromium-${namespace}`);
  const argv = inside(namespace, [CHROMIUM]).map((word) => `'${word}'`);
  writeFileSync(script, `#!/bin/sh\nexec ${argv.join(' ')} "$@"\n`, { mode: 0o755 });
  return startChromium(flags, script);
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
  const find = (url) => {
    const [file, type] = types[url] ?? [];
    const path = file && join(HERE, '.build', file);
    return path && existsSync(path) && { path, type };
  };
  const server = createServer((request, response) => {
    const found = find(request.url);
    if (!found) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': found.type });
    createReadStream(found.path).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://localhost:${server.address().port}/`;
  /** Serves a page to which our localhost is another. */
  const serve = (page) => page.route(`${url}**`, (route) => {
    const found = find(new URL(route.request().url()).pathname);
    return found ? route.fulfill({ path: found.path, contentType: found.type }) : route.abort();
  });
  return { url, serve, close: () => server.close() };
}

/** The browsers of one test file, each started when first needed. */
export class Browsers {
  #started = new Map();
  #page;
  #namespace;
  #flags;

  /** Chromium runs in `namespace`, if there is one, with further `flags`. */
  constructor(namespace, flags = []) {
    this.#namespace = namespace;
    this.#flags = flags;
  }

  /** A tab of a browser of a kind, or of one that can lose its network. */
  async tab(kind, { roaming = false } = {}) {
    this.#page ??= serveTestPage();
    const { url, serve } = await this.#page;
    const namespace = roaming ? NETWORK.roaming : this.#namespace;
    const name = `${kind} in ${namespace}`;
    const start = () => {
      if (kind === 'firefox') return startFirefox();
      return namespace ? startChromiumIn(namespace, this.#flags) : startChromium(this.#flags);
    };
    if (!this.#started.has(name)) this.#started.set(name, start());
    const browser = await this.#started.get(name);
    if (kind === 'firefox') {
      const page = await browser.newPage();
      await page.goto(url, { waitUntil: 'load' });
      return page;
    }
    const context = await browser.newContext({ ignoreHTTPSErrors: true, permissions: ['camera', 'microphone'] });
    const page = await context.newPage();
    if (namespace) await serve(page);
    await page.goto(url, { waitUntil: 'load' });
    return page;
  }

  async close() {
    for (const browser of this.#started.values()) await (await browser).close();
    (await this.#page)?.close();
  }
}
