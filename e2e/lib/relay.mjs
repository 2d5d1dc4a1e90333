// A relay that people use: coturn, with the configuration of the guide.

import { execFileSync, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inside } from './network.mjs';
import { ARTIFACTS, HERE, TURNSERVER } from './settings.mjs';
import { until } from './wait.mjs';

/** What the relay and the servers know. */
export const RELAY_SECRET = 'a-secret-of-relay-and-server';

/** The ports of the guide: for UDP and TCP, and for TLS. */
export const RELAY_PORT = 3478;
export const RELAY_TLS_PORT = 5349;

/** The guide's configuration, for these addresses. */
function configuration({ listen, from, to, folder }) {
  const guide = readFileSync(join(HERE, '..', 'docs', 'turn.md'), 'utf8');
  let text = /```conf\n([\s\S]*?)```/.exec(guide)[1];
  const replace = (line, ...others) => {
    if (!text.includes(`${line}\n`)) throw new Error(`docs/turn.md has no line ${line}`);
    text = text.replace(`${line}\n`, others.map((other) => `${other}\n`).join(''));
  };
  replace('listening-ip=203.0.113.9', ...listen.map((ip) => `listening-ip=${ip}`));
  replace('relay-ip=203.0.113.9', `relay-ip=${from}`);
  replace('static-auth-secret=SECRET', `static-auth-secret=${RELAY_SECRET}`);
  replace('allowed-peer-ip=203.0.113.7', `allowed-peer-ip=${to}`);
  replace('cert=/etc/coturn/fullchain.pem', `cert=${join(folder, 'relay.crt')}`);
  replace('pkey=/etc/coturn/privkey.pem', `pkey=${join(folder, 'relay.key')}`);
  return text;
}

/**
 * Starts coturn at a place. It listens at its ends of the cables to the places `clients` and `server`,
 * and relays to `server` alone. `name` is in its certificate. The caller stops it.
 */
export async function startRelay(place, { clients, server, name }) {
  const folder = mkdtempSync(join(tmpdir(), 'umbrella-relay-'));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`,
    '-keyout', join(folder, 'relay.key'), '-out', join(folder, 'relay.crt')], { stdio: 'ignore' });
  const near = place.cables[server.name].ip;
  const listen = [...clients.map((other) => place.cables[other.name].ip), near];
  const file = join(folder, 'turnserver.conf');
  writeFileSync(file, configuration({ listen, from: near, to: server.cables[place.name].ip, folder }));
  const argv = inside(place.namespace, [TURNSERVER, '-c', file, '--pidfile=', '--log-file=stdout', `--userdb=${join(folder, 'turndb')}`]);
  const child = spawn(argv[0], argv.slice(1), { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const log = createWriteStream(join(ARTIFACTS, 'relay.log'));
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.pipe(log, { end: false });
    stream.on('data', (chunk) => { said += chunk; });
  }
  const ended = new Promise((resolve) => child.once('close', resolve));
  await until('the relay listens', () => {
    if (child.exitCode !== null) throw new Error(`the relay has ended; see ${log.path}`);
    const [program, ...args] = inside(place.namespace, ['ss', '-Htln', 'sport', '=', `${RELAY_PORT}`]);
    return execFileSync(program, args).toString().trim().split('\n').length >= listen.length;
  });
  return {
    /** Everything that it has said so far. */
    log: () => said,
    stop: async () => {
      child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await ended;
      clearTimeout(killer);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Credentials that end in so many seconds, made by the draft's own recipe; with another secret, forged. */
export function credentials(seconds, secret = RELAY_SECRET) {
  const username = `${Math.floor(Date.now() / 1000) + seconds}:somebody`;
  return { username, credential: createHmac('sha1', secret).update(username).digest('base64') };
}
