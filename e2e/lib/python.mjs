// Programs that use the SDK of applications in Python.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { HERE, PYTHON } from './settings.mjs';

/** How long one may run, the interpreter's start included. */
const RUN_MS = 60_000;

/** Runs a script of ../native with JSON as its input; its output, which is JSON too. */
export async function runPython(script, input, env = {}) {
  const options = { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'], timeout: RUN_MS };
  const child = spawn(PYTHON, [join(HERE, 'native', script)], options);
  child.stdin.end(JSON.stringify(input));
  const [out, log] = await Promise.all([text(child.stdout), text(child.stderr)]);
  if (!out) throw new Error(`${script} has failed: ${log}`);
  return JSON.parse(out);
}
