// Cameras, made by GStreamer.

import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { inside } from './network.mjs';
import { ARTIFACTS } from './settings.mjs';

const SCRIPT = fileURLToPath(new URL('../native/camera.py', import.meta.url));

// The system's, which has GStreamer, and not that of the tests' environment.
const SYSTEM_PYTHON = '/usr/bin/python3';

/**
 * Starts a camera at a place. `streams` are as `native/camera.py` describes them, by path. The
 * caller stops it; `url(path)` has the credentials, if there are any.
 */
export async function startCamera({ place, streams, user, password, port = 0, name = 'camera' }) {
  const [program, ...args] = inside(place.namespace, [SYSTEM_PYTHON, SCRIPT]);
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const log = createWriteStream(join(ARTIFACTS, `${name}.log`));
  child.stderr.pipe(log, { end: false });
  const ended = new Promise((resolve) => child.once('close', resolve));
  child.stdin.write(`${JSON.stringify({ ip: place.ip, port, user, password, streams })}\n`);
  const bound = await new Promise((resolve, reject) => {
    createInterface(child.stdout).once('line', (line) => resolve(Number(line.split(' ')[1])));
    ended.then((code) => reject(new Error(`the camera has ended with ${code}; see ${name}.log`)));
  });
  const who = user ? `${encodeURIComponent(user)}:${encodeURIComponent(password)}@` : '';
  return {
    port: bound,
    url: (path) => `rtsp://${who}${place.ip}:${bound}${path}`,
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
