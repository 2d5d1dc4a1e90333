// avahi-daemon at one place, without D-Bus: what announces the machine's name on most Linux desktops.

import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startProgram } from './program.mjs';
import { AVAHI } from './settings.mjs';

const RUN = '/run/avahi-daemon';

/** Starts it at a place, announcing `host`.local, and waits until it has the name. */
export async function startAvahi(place, host) {
  const folder = mkdtempSync(join(tmpdir(), 'umbrella-avahi-'));
  const config = join(folder, 'avahi.conf');
  writeFileSync(config, `[server]\nhost-name=${host}\nenable-dbus=no\n[publish]\npublish-workstation=no\n`);
  mkdirSync(RUN, { recursive: true });
  // Its place for a process id is its own, so that another one of the machine is not disturbed.
  const script = `mount -t tmpfs none ${RUN} && exec ${AVAHI} -f ${config} --no-drop-root --no-chroot --no-rlimits --debug`;
  return startProgram(place, ['unshare', '-m', 'sh', '-c', script], {
    folder,
    log: `avahi-${host}`,
    ready: (said) => said.includes(`Host name is ${host}.local`),
  });
}
