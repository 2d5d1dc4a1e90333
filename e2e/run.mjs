// Runs the end-to-end tests: node run.mjs [FILE PATTERN] [--name REGEX]
//
// Builds the test page, makes a network (as root), and runs each file of tests/ in Node's test
// runner, one after the other. `cargo xtask test --e2e` prepares the parts and calls this.

import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { canMakeNetworks, inside, makeNetwork, removeNetwork } from './lib/network.mjs';
import { BINARY, HERE } from './lib/settings.mjs';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { name: { type: 'string' } } });

if (!existsSync(BINARY)) {
  console.error(`no server at ${BINARY}: cargo build -p umbrella, or set UMBRELLA_BIN`);
  process.exit(1);
}

const pattern = positionals[0] ?? '';
const files = readdirSync(join(HERE, 'tests')).filter((file) => file.endsWith('.test.mjs') && file.includes(pattern));
if (files.length === 0) {
  console.error(`no file in e2e/tests matches ${pattern}`);
  process.exit(1);
}

const output = join(HERE, '.build');
mkdirSync(output, { recursive: true });
await build({ entryPoints: [join(HERE, 'page/client.mjs')], outfile: join(output, 'client.js'), bundle: true, minify: true, logLevel: 'error' });
copyFileSync(join(HERE, 'page/index.html'), join(output, 'index.html'));
copyFileSync(fileURLToPath(import.meta.resolve('livekit-client/e2ee-worker')), join(output, 'e2ee.worker.js'));

const network = canMakeNetworks() ? makeNetwork() : null;
if (!network) {
  console.error('not root: everything on localhost, tests that need a network of their own are left out');
}

const argv = [
  process.execPath, '--test', '--test-concurrency=1', '--test-reporter=spec', '--test-timeout=360000',
  ...(values.name ? [`--test-name-pattern=${values.name}`] : []),
  ...files.map((file) => join('tests', file)),
];
const [program, ...args] = inside(network?.clients, argv);
const tests = spawn(program, args, {
  cwd: HERE,
  stdio: ['ignore', 'inherit', 'inherit'],
  env: { ...process.env, ...(network ? { UMBRELLA_TEST_NETWORK: JSON.stringify(network) } : {}) },
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => tests.kill(signal));
const code = await new Promise((resolve) => tests.once('exit', (status) => resolve(status ?? 1)));
if (network) removeNetwork(network);
process.exit(code);
