// Runs the end-to-end tests: node run.mjs [FILE PATTERN]... [--name REGEX]
//
// Builds the test page, makes networks (as root), and runs each file of tests/ in Node's test runner:
// most two at a time, then some alone. `cargo xtask test --e2e` prepares the parts and calls this.

import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { canMakeNetworks, inside, makeNetwork, removeNetwork } from './lib/network.mjs';
import { BINARY, HERE } from './lib/settings.mjs';

/** Files in which encoders need both cores, or in which it counts how soon something comes. */
const ALONE = [
  'bandwidth', 'crowd', 'lossy', 'media', 'memory', 'pairs', 'paths', 'restart', 'sites-apart', 'sites-cable',
  'sites-ring',
];
/** Of the latter those in which much is waited for, the longest first: these beside each other. */
const PATIENT = ['resume', 'cameras', 'sites-once', 'docker'];

const { values, positionals } = parseArgs({ allowPositionals: true, options: { name: { type: 'string' } } });

if (!existsSync(BINARY)) {
  console.error(`no server at ${BINARY}: cargo build -p umbrella, or set UMBRELLA_BIN`);
  process.exit(1);
}

const isWanted = (file) => positionals.length === 0 || positionals.some((pattern) => file.includes(pattern));
const files = readdirSync(join(HERE, 'tests')).filter((file) => file.endsWith('.test.mjs') && isWanted(file));
if (files.length === 0) {
  console.error(`no file in e2e/tests matches ${positionals.join(' or ')}`);
  process.exit(1);
}

const output = join(HERE, '.build');
mkdirSync(output, { recursive: true });
await build({ entryPoints: [join(HERE, 'page/client.mjs')], outfile: join(output, 'client.js'), bundle: true, minify: true, logLevel: 'error' });
copyFileSync(join(HERE, 'page/index.html'), join(output, 'index.html'));
copyFileSync(fileURLToPath(import.meta.resolve('livekit-client/e2ee-worker')), join(output, 'e2ee.worker.js'));

const lanes = canMakeNetworks() ? [makeNetwork('a'), makeNetwork('b')] : [null];
if (!lanes[0]) {
  console.error('not root: everything on localhost, tests that need a network of their own are left out');
}

const running = new Set();
const totals = { tests: 0, pass: 0, fail: 0, skipped: 0 };
let failed = false;

/** Milliseconds since the machine's start that its processors were busy, and that have passed on them. */
function processors() {
  const times = cpus().map((it) => it.times);
  const all = times.reduce((sum, it) => sum + it.user + it.nice + it.sys + it.idle + it.irq, 0);
  return { all, busy: all - times.reduce((sum, it) => sum + it.idle, 0) };
}

/** Runs one file in a network, and prints what it has said when it has ended. */
async function runFile(file, network) {
  const start = Date.now();
  const before = processors();
  const argv = [
    process.execPath, '--test', '--test-concurrency=1', '--test-reporter=spec', '--test-timeout=360000',
    ...(values.name ? [`--test-name-pattern=${values.name}`] : []), join('tests', file),
  ];
  const [program, ...args] = inside(network?.clients, argv);
  const child = spawn(program, args, {
    cwd: HERE,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...(network ? { UMBRELLA_TEST_NETWORK: JSON.stringify(network) } : {}) },
  });
  running.add(child);
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => said.push(chunk));
  const code = await new Promise((resolve) => child.once('close', (status) => resolve(status ?? 1)));
  running.delete(child);
  const text = Buffer.concat(said).toString();
  for (const [, name, count] of text.matchAll(/^ℹ (\w+) (\d+)$/gm)) if (name in totals) totals[name] += Number(count);
  failed ||= code !== 0;
  const now = processors();
  const busy = Math.round((now.busy - before.busy) * 100 / Math.max(1, now.all - before.all));
  const took = `${file} took ${Math.round((Date.now() - start) / 1000)} s, processors ${busy} % busy`;
  process.stdout.write(`\n${file}\n${text}${took}\n`);
}

/** Runs files one after the other in each of these networks, as many at a time as there are. */
async function runAll(list, networks) {
  const left = [...list];
  await Promise.all(networks.map(async (network) => {
    for (let file = left.shift(); file; file = left.shift()) await runFile(file, network);
  }));
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    failed = true;
    for (const child of running) child.kill(signal);
  });
}
const those = (names) => names.map((name) => `${name}.test.mjs`).filter((file) => files.includes(file));
const named = those([...ALONE, ...PATIENT]);
await runAll(files.filter((file) => !named.includes(file)), lanes);
await runAll(those(PATIENT), lanes);
await runAll(those(ALONE), lanes.slice(0, 1));
for (const network of lanes.filter(Boolean)) removeNetwork(network);
console.log(`\n${files.length} files`);
for (const [name, count] of Object.entries(totals)) console.log(`ℹ ${name} ${count}`);
process.exit(failed ? 1 : 0);
