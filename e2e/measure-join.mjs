// How long from the click on "Join" to the first picture of somebody else, in Chromium, with
// everything local? UMBRELLA_BIN=target/release/umbrella node measure-join.mjs [TIMES]
//
// Prints the median and the 90th percentile. Not a test: nothing here passes or fails.

import { startChromium } from './lib/browsers.mjs';
import { invite, joinCall, openPage, seesOthers, signIn } from './lib/page.mjs';
import { startServer } from './lib/server.mjs';

const times = Number(process.argv[2] ?? 20);

/** Runs in the page: notes the click, and the first frame of somebody else. */
function stopwatch() {
  const seen = new WeakSet();
  const look = () => {
    for (const video of document.querySelectorAll('[data-testid=tile][data-local=false] video')) {
      if (seen.has(video)) continue;
      seen.add(video);
      video.requestVideoFrameCallback(() => { window.firstFrameAt ??= performance.now(); });
    }
    requestAnimationFrame(look);
  };
  look();
  document.addEventListener('click', () => { window.clickedAt ??= performance.now(); }, true);
}

const server = await startServer('measure-join');
const browser = await startChromium();
const admin = await signIn(browser, server);
const link = await invite(admin, 'Measured');
const host = await openPage(browser, server, link);
await joinCall(host, 'Host');

const taken = [];
for (let round = 0; round < times; round++) {
  const guest = await openPage(browser, server, link);
  await guest.getByTestId('preview').waitFor();
  await guest.evaluate(stopwatch);
  await joinCall(guest, `Guest ${round}`);
  await seesOthers(guest, 1);
  const ms = await guest.evaluate(() => window.firstFrameAt - window.clickedAt);
  process.stderr.write(`${Math.round(ms)} `);
  taken.push(ms);
  await guest.getByRole('button', { name: 'Leave' }).click();
  await guest.context().close();
}
await browser.close();
const resident = server.residentMib();
await server.stop();

taken.sort((a, b) => a - b);
const at = (share) => Math.round(taken[Math.min(taken.length - 1, Math.floor(taken.length * share))]);
console.log(`\nclick to first picture, ${times} times: median ${at(0.5)} ms, p90 ${at(0.9)} ms; server ${resident.toFixed(1)} MiB`);
