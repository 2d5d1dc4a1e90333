// A public authority as there are on the internet: Pebble, and the name service that it asks.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startProgram } from './program.mjs';
import { USUAL, freePort } from './server.mjs';

const folder = () => mkdtempSync(join(tmpdir(), 'umbrella-pebble-'));

/** The answer's text; the certificate is Pebble's own and unchecked. */
function get(url) {
  return new Promise((resolve, reject) => {
    request(url, { rejectUnauthorized: false }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve(Buffer.concat(chunks).toString()));
    }).on('error', reject).end();
  });
}

/**
 * Starts a name service, in a network of our own at the usual port, that knows every name: all lead to the servers' usual address, but for those
 * that are told to `lead` to another one. The caller stops it.
 */
export async function startNames() {
  const { ip } = USUAL;
  const [port, management] = [await freePort(53), await freePort(8055)];
  const argv = ['pebble-challtestsrv', '-http01', '', '-https01', '', '-tlsalpn01', '', '-dns01', `${ip}:${port}`,
    '-management', `${ip}:${management}`, '-defaultIPv4', ip, '-defaultIPv6', ''];
  const tell = async (what, body) => {
    const { ok, status } = await fetch(`http://${ip}:${management}/${what}`, { method: 'POST', body: JSON.stringify(body) });
    if (!ok) throw new Error(`${what} answered ${status}`);
    return true;
  };
  const lead = async (name, address) => {
    const host = `${name}.`;
    await tell('clear-a', { host });
    return tell('add-a', { host, addresses: [address] });
  };
  const ready = () => lead('ready.test', ip);
  const { stop } = await startProgram(USUAL, argv, { folder: folder(), log: 'pebble-names', ready });
  return { address: `${ip}:${port}`, lead, stop };
}

/** An authority that gives certificates for the names of a server at `port`, once it is started. */
export class Authority {
  /** Its certificates are valid for so many `seconds`; `index` tells several apart. */
  static async make(names, port, { seconds = 90 * 86_400, index = 0 } = {}) {
    const authority = new Authority();
    authority.own = folder();
    authority.log = `pebble-${index}`;
    authority.names = names;
    authority.settings = {
      listenAddress: `${USUAL.ip}:${await freePort(14_000 + index)}`,
      managementListenAddress: `${USUAL.ip}:${await freePort(15_000 + index)}`,
      certificate: join(authority.own, 'pebble.crt'),
      privateKey: join(authority.own, 'pebble.key'),
      httpPort: 1,
      tlsPort: port,
      certificateValidityPeriod: seconds,
    };
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
      '-subj', '/CN=pebble', '-addext', `subjectAltName=IP:${USUAL.ip}`, '-addext', 'basicConstraints=critical,CA:FALSE',
      '-keyout', authority.settings.privateKey, '-out', authority.settings.certificate], { stdio: 'ignore' });
    writeFileSync(join(authority.own, 'pebble.json'), JSON.stringify({ pebble: authority.settings }));
    return authority;
  }

  /** By which a server asks it for certificates for `domains`. */
  environment(...domains) {
    return {
      UMBRELLA_ACME_DOMAINS: domains.join(','),
      UMBRELLA_ACME_ACCEPT_TERMS: '1',
      UMBRELLA_ACME_DIRECTORY: `https://${this.settings.listenAddress}/dir`,
      UMBRELLA_ACME_CA_FILE: this.settings.certificate,
    };
  }

  async start() {
    // At full speed, each name looked at anew, and no request refused at random.
    const argv = ['env', 'PEBBLE_VA_NOSLEEP=1', 'PEBBLE_AUTHZREUSE=0', 'PEBBLE_WFE_NONCEREJECT=0', 'pebble',
      '-config', join(this.own, 'pebble.json'), '-dnsserver', this.names.address];
    const ready = async () => {
      this.root = await get(`https://${this.settings.managementListenAddress}/roots/0`);
      return this.root.includes('BEGIN CERTIFICATE');
    };
    this.program = await startProgram(USUAL, argv, { folder: folder(), log: this.log, ready });
  }

  /** Starts it anew: it knows nobody any more, and has another root. */
  async restart() {
    await this.program.stop();
    await this.start();
  }

  /** How many certificates it has issued. */
  issued() {
    return this.program.log().split('Issued certificate serial').length - 1;
  }

  async stop() {
    await this.program?.stop();
    rmSync(this.own, { recursive: true, force: true });
  }
}
