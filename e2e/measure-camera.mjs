// How long from subscribing to a camera to its first picture, in Chromium, with everything local?
// UMBRELLA_BIN=target/release/umbrella node measure-camera.mjs [TIMES]
//
// The camera sends a key frame every four seconds. First it stays connected, then it has been left
// alone each time. Prints medians and the longest. Not a test: nothing here passes or fails.

import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { addCamera, isNow, startCamera } from './lib/camera.mjs';
import { Clients } from './lib/clients.mjs';
import { startServer } from './lib/server.mjs';
import { HERE } from './lib/settings.mjs';
import { sleep, until } from './lib/wait.mjs';

const times = Number(process.argv[2] ?? 30);

/** The test page, as `run.mjs` makes it. */
async function buildPage() {
  const output = join(HERE, '.build');
  mkdirSync(output, { recursive: true });
  await build({ entryPoints: [join(HERE, 'page/client.mjs')], outfile: join(output, 'client.js'), bundle: true, minify: true, logLevel: 'error' });
  copyFileSync(join(HERE, 'page/index.html'), join(output, 'index.html'));
  copyFileSync(fileURLToPath(import.meta.resolve('livekit-client/e2ee-worker')), join(output, 'e2ee.worker.js'));
}

/** Subscribes as often, each time after `ready`; milliseconds to the first picture. */
async function measure(viewer, identity, count, ready) {
  const taken = [];
  for (let round = 0; round < count; round += 1) {
    await ready();
    taken.push(await viewer.firstPicture({ identity, source: 'camera' }));
    process.stderr.write(`${Math.round(taken.at(-1))} `);
    await viewer.subscribe({ identity, source: 'camera', on: false });
  }
  process.stderr.write('\n');
  taken.sort((a, b) => a - b);
  const at = (share) => Math.round(taken[Math.min(taken.length - 1, Math.floor(taken.length * share))]);
  return `${count} times: median ${at(0.5)} ms, p90 ${at(0.9)} ms, longest ${at(1)} ms`;
}

await buildPage();
const server = await startServer('measure-camera');
const camera = await startCamera({
  place: { ip: '127.0.0.1' },
  streams: { '/main': { width: 1280, height: 720, bitrate: 2000, key: 100, audio: 'aac' } },
});
const clients = new Clients(server);
try {
  const add = (name, flags) => addCamera(server, camera.url('/main'), { name, room: 'measured', flags });
  const connected = await add('connected', ['--always-on']);
  const asked = await add('on demand', []);
  await isNow(server, 'connected', 'live');
  const viewer = await clients.join('chromium', 'measured', 'viewer', { autoSubscribe: false });
  for (const id of [connected, asked]) await until('it is there', async () => (await viewer.track(id, 'camera')).kind);
  // Somewhere between two key frames, wherever the last one was.
  const somewhere = () => sleep(500 + Math.random() * 4_000);
  console.log(`connected, ${await measure(viewer, connected, times, somewhere)}`);
  const alone = () => isNow(server, 'on demand', 'idle');
  console.log(`on demand, ${await measure(viewer, asked, Math.ceil(times / 3), alone)}`);
} finally {
  await clients.close();
  await camera.stop();
  await server.stop();
}
