// avahi-daemon at one place, without D-Bus: what announces the machine's name on most Linux desktops.

import { spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inside } from './network.mjs';
import { ARTIFACTS } from './settings.mjs';
import { until } from './wait.mjs';

const PROGRAM = '/usr/sbin/avahi-daemon';
const RUN = '/run/avahi-daemon';

/** Whether it can be started. */
export const AVAHI = existsSync(PROGRAM);

/** Starts it at a place, announcing `host`.local, and waits until it has the name. */
export async function startAvahi(place, host) {
  const dir = mkdtempSync(join(tmpdir(), 'umbrella-avahi-'));
  const config = join(dir, 'avahi.conf');
  writeFileSync(config, `[server]\nhost-name=${host}\nenable-dbus=no\n[publish]\npublish-workstation=no\n`);
  mkdirSync(RUN, { recursive: true });
  // Its place for a process id is its own, so that another one of the machine is not disturbed.
  const script = `mount -t tmpfs none ${RUN} && exec ${PROGRAM} -f ${config} --no-drop-root --no-chroot --no-rlimits --debug`;
  const [program, ...args] = inside(place.namespace, ['unshare', '-m', 'sh', '-c', script]);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const logFile = join(ARTIFACTS, `avahi-${host}.log`);
  const log = createWriteStream(logFile);
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const said = () => readFileSync(logFile, 'utf8');
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await until('avahi has its name', () => said().includes(`Host name is ${host}.local`));
  } catch (error) {
    await stop();
    throw error;
  }
  return { log: said, stop };
}
