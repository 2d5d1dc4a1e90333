// What the runner (run.mjs) found out and made, handed to every test file by environment.

import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder `e2e/`. */
export const HERE = dirname(dirname(fileURLToPath(import.meta.url)));

/** Where logs and pictures are kept. */
export const ARTIFACTS = process.env.UMBRELLA_ARTIFACTS ?? join(HERE, '..', 'artifacts');
mkdirSync(ARTIFACTS, { recursive: true });

/** The server's binary. */
export const BINARY = process.env.UMBRELLA_BIN ?? join(HERE, '..', 'target', 'debug', 'umbrella');

/**
 * The networks that the runner made: the server's namespace and the two ends of the cable.
 * `null` without root: everything is on localhost then.
 */
export const NETWORK = process.env.UMBRELLA_TEST_NETWORK
  ? JSON.parse(process.env.UMBRELLA_TEST_NETWORK)
  : null;

/** The address at which clients find the server. */
export const SERVER_IP = NETWORK?.serverIp ?? '127.0.0.1';

const found = (path) => (existsSync(path) ? path : null);
const isInPath = (program) => (process.env.PATH ?? '').split(':').some((folder) => existsSync(join(folder, program)));
/** Chromium's path, if there is one. */
export const CHROMIUM = process.env.CHROMIUM || found('/usr/bin/chromium');
/** Firefox's path, if there is one. */
export const FIREFOX = process.env.FIREFOX || found('/usr/bin/firefox-esr');
/** coturn, if it is there. */
export const TURNSERVER = found('/usr/bin/turnserver');
/** avahi's daemon, if it is there. */
export const AVAHI = found('/usr/sbin/avahi-daemon');
/** A Python with the native SDK, if there is one. */
export const PYTHON = process.env.UMBRELLA_TEST_PYTHON || null;

/**
 * Why a test that needs these parts cannot run here, or `false`: to be given as `skip`.
 * The runner has already failed over missing parts unless it was told to go on without.
 */
export function missing(...needs) {
  const have = {
    chromium: CHROMIUM,
    firefox: FIREFOX,
    python: PYTHON,
    turnserver: TURNSERVER,
    avahi: AVAHI,
    pebble: isInPath('pebble') && isInPath('pebble-challtestsrv'),
    busybox: isInPath('busybox'),
    shellcheck: isInPath('shellcheck'),
    network: NETWORK,
    node: true,
  };
  const lacking = needs.filter((need) => !have[need]);
  return lacking.length > 0 && `missing here: ${lacking.join(', ')}`;
}
