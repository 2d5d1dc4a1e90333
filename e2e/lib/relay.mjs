// A relay that people use: coturn, with the configuration of the guide.

import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inside } from './network.mjs';
import { startProgram } from './program.mjs';
import { HERE, TURNSERVER } from './settings.mjs';

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
  const argv = [TURNSERVER, '-c', file, '--pidfile=', '--log-file=stdout', `--userdb=${join(folder, 'turndb')}`];
  const listens = () => {
    const [program, ...args] = inside(place.namespace, ['ss', '-Htln', 'sport', '=', `${RELAY_PORT}`]);
    return execFileSync(program, args).toString().trim().split('\n').length >= listen.length;
  };
  return startProgram(place, argv, { folder, log: 'relay', ready: listens });
}

/** Credentials that end in so many seconds, made by the draft's own recipe; with another secret, forged. */
export function credentials(seconds, secret = RELAY_SECRET) {
  const username = `${Math.floor(Date.now() / 1000) + seconds}:somebody`;
  return { username, credential: createHmac('sha1', secret).update(username).digest('base64') };
}
