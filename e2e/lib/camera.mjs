// Cameras, made by GStreamer.

import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { inside } from './network.mjs';
import { ARTIFACTS } from './settings.mjs';
import { until } from './wait.mjs';

const SCRIPT = fileURLToPath(new URL('../native/camera.py', import.meta.url));

// The system's, which has GStreamer, and not that of the tests' environment.
const SYSTEM_PYTHON = '/usr/bin/python3';

/**
 * Starts a camera at a place. `streams` are as `native/camera.py` describes them, by path. The
 * caller stops it; `url(path)` has the credentials, if there are any.
 */
export async function startCamera({ place, streams, user, password, basic, port = 0, name = 'camera' }) {
  const [program, ...args] = inside(place.namespace, [SYSTEM_PYTHON, SCRIPT]);
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const log = createWriteStream(join(ARTIFACTS, `${name}.log`));
  child.stderr.pipe(log, { end: false });
  const ended = new Promise((resolve) => child.once('close', resolve));
  child.stdin.write(`${JSON.stringify({ ip: place.ip, port, user, password, basic, streams })}\n`);
  const bound = await new Promise((resolve, reject) => {
    createInterface(child.stdout).once('line', (line) => resolve(Number(line.split(' ')[1])));
    ended.then((code) => reject(new Error(`the camera has ended with ${code}; see ${name}.log`)));
  });
  const who = user ? `${encodeURIComponent(user)}:${encodeURIComponent(password)}@` : '';
  return {
    port: bound,
    url: (path) => `rtsp://${who}${place.ip}:${bound}${path}`,
    /** Sets its clock forward. */
    jump: (seconds) => child.stdin.write(`${JSON.stringify({ jump: seconds })}\n`),
    /** Nothing comes of it, and nothing says so, until it is thawed. */
    freeze: () => child.kill('SIGSTOP'),
    thaw: () => child.kill('SIGCONT'),
    /** Ends it at once: its system closes its connections. */
    stop: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Has a camera in a room; its identity there. `flags` are further ones of `umbrella camera add`. */
export async function addCamera(server, url, { name, room, flags = [] }) {
  await server.command('camera', 'add', url, '--name', name, '--room', room, ...flags);
  return (await cameraOf(server, name)).id;
}

/** What a server says of a camera. */
export async function cameraOf(server, name) {
  const cameras = JSON.parse(await server.command('camera', 'list', '--json'));
  return cameras.find((camera) => camera.name === name) ?? {};
}

/** Waits until a camera is in one of these states, and returns what is said of it. */
export function isNow(server, name, ...states) {
  return until(`${name} is ${states.join(' or ')}`, async () => {
    const camera = await cameraOf(server, name);
    return states.includes(camera.state) && camera;
  });
}
