// Programs that are not ours, at one place.

import { spawn } from 'node:child_process';
import { createWriteStream, rmSync } from 'node:fs';
import { join } from 'node:path';
import { inside } from './network.mjs';
import { ARTIFACTS } from './settings.mjs';
import { until } from './wait.mjs';

/**
 * Starts one at a place, in a `folder` of its own that goes with it, and waits until it is `ready`,
 * which is asked with all that it has said. What it says is also in `LOG.log` of the artifacts. The
 * caller stops it.
 */
export async function startProgram(place, argv, { folder, log, ready }) {
  const [program, ...args] = inside(place.namespace, argv);
  const child = spawn(program, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const file = createWriteStream(join(ARTIFACTS, `${log}.log`));
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.pipe(file, { end: false });
    stream.on('data', (chunk) => { said += chunk; });
  }
  const ended = new Promise((resolve) => child.once('close', resolve));
  const stop = async () => {
    child.kill('SIGTERM');
    const killer = setTimeout(() => child.kill('SIGKILL'), 5_000);
    await ended;
    clearTimeout(killer);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await until(`${log} is ready`, () => {
      if (child.exitCode !== null) throw new Error(`it has ended; see ${file.path}`);
      return ready(said);
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { log: () => said, stop };
}
