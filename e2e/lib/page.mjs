// The product's own page, as people use it: everything is found by role and accessible name.

import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { ARTIFACTS, HERE } from './settings.mjs';
import { until } from './wait.mjs';

const PASSWORD = 'correct horse battery';

/** Opens the page below `server`; `page.problems` collects what it complains about. */
export async function openPage(browser, server, hash = '', options = {}) {
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    permissions: ['camera', 'microphone'],
    viewport: { width: 1280, height: 800 },
    ...options,
  });
  const page = await context.newPage();
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && /Content Security Policy|Refused to/.test(message.text())) page.problems.push(message.text());
  });
  page.foreign = [];
  page.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    if (/^(http|ws)/.test(protocol) && host !== new URL(server.url).host) page.foreign.push(request.url());
  });
  await page.goto(`${server.url}/sfu${hash}`);
  return page;
}

/** The one-time link's page: sets the password and lands on the admin page. */
export async function signIn(browser, server, options) {
  const printed = await server.command('admin-link');
  const link = /https?:\/\/\S+/.exec(printed)?.[0];
  if (!link) throw new Error(`umbrella admin-link printed ${JSON.stringify(printed)}`);
  const page = await openPage(browser, server, new URL(link).hash, options);
  await page.getByLabel('New password').fill(PASSWORD);
  await page.getByLabel('Repeat password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Set password' }).click();
  await page.getByLabel('New room').waitFor();
  return page;
}

/** Makes an invite on the admin page; the part of the link from `#` on. */
export async function invite(admin, room, { watchOnly = false, moderates = false, uses = '' } = {}) {
  await admin.getByRole('link', { name: 'Invites' }).or(admin.getByRole('tab', { name: 'Invites' })).first().click();
  const form = admin.getByRole('form', { name: 'New invite' });
  await form.getByLabel('Room').fill(room);
  if (uses) await form.getByLabel('Number of joins').fill(uses);
  if (watchOnly) await form.getByLabel('Only watch').check();
  if (moderates) await form.getByLabel('Moderate').check();
  await form.getByRole('button', { name: 'Create invite' }).click();
  const url = await admin.getByTestId('invite-url').inputValue();
  await shot(admin, `invite-${watchOnly ? 'watch' : 'made'}`);
  await admin.getByRole('button', { name: 'Done' }).click();
  return new URL(url).hash;
}

/** Fills in the lobby and joins. */
export async function joinCall(page, name) {
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: 'Join', exact: true }).click();
  await page.locator('[data-testid=room][data-state=connected]').waitFor();
}

/** Waits until `count` pictures of others move on the page. */
export function seesOthers(page, count) {
  return until(`${count} pictures of others move`, () => page.evaluate((wanted) => {
    const videos = [...document.querySelectorAll('[data-testid=tile][data-local=false] video')];
    const moving = videos.filter((video) => video.videoWidth > 0 && video.currentTime > 0.5 && !video.paused);
    return moving.length >= wanted;
  }, count));
}

/** A picture among the artifacts. */
export async function shot(page, name) {
  await page.screenshot({ path: join(ARTIFACTS, `page-${name}.png`) });
}

/** The same, which is a picture of the documentation as well: `UPDATE_DOCS=1` puts it there. */
export async function documented(page, name) {
  await shot(page, name);
  if (process.env.UPDATE_DOCS) copyFileSync(join(ARTIFACTS, `page-${name}.png`), join(HERE, '..', 'docs', `${name}.png`));
}
