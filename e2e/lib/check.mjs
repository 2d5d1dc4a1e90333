// The page's connection check, as a guest sees it.

import { Admin } from './admin.mjs';
import { until } from './wait.mjs';

/** The token of an invite by which a guest may check; the server must be new. */
export async function inviteToCheck(server) {
  const admin = await Admin.setUp(server, 'a password for tests');
  const made = await admin.call('POST', '/invites', { room: 'tea', role: 'watch', expiresInS: 3600, uses: 1, cameras: null });
  return made.path.split('#/join/')[1];
}

/** Waits for the verdict: its kind, the state of each row by its name, and all that is read there. */
export async function checkConnection(page, origin, invite) {
  await page.goto('about:blank');
  await page.goto(`${origin}/sfu#/check/${invite}`, { waitUntil: 'load' });
  return until('the check has ended', async () => {
    const seen = await page.evaluate(() => {
      const check = document.querySelector('[data-testid="check"]');
      const rows = check?.querySelectorAll('li[data-state]') ?? [];
      const states = [...rows].map((row) => [row.dataset.testid.replace('check-', ''), row.dataset.state]);
      return { verdict: check?.dataset.state, rows: Object.fromEntries(states), text: check?.innerText };
    });
    return seen.verdict && seen.verdict !== 'checking' && seen;
  });
}
