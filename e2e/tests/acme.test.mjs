// A certificate that everybody trusts, by ACME from an authority of the tests' own.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import WebSocket from 'ws';
import { Admin } from '../lib/admin.mjs';
import { useNameServer } from '../lib/network.mjs';
import { Authority, startNames } from '../lib/pebble.mjs';
import { USUAL, startServer } from '../lib/server.mjs';
import { BINARY, missing } from '../lib/settings.mjs';
import { token } from '../lib/tokens.mjs';
import { until } from '../lib/wait.mjs';

const NAME = 'meet.example.org';
const ELSEWHERE = 'elsewhere.example.org';
const PASSWORD = 'a good password';

/** What a client that trusts `root` alone is shown when it asks for this name, or for none. */
async function shown(server, name, root) {
  const socket = connect({ host: server.place.ip, port: server.port, servername: name ?? '', ca: root, rejectUnauthorized: false,
    // Node checks the address where no name is asked for.
    ...(name ? {} : { checkServerIdentity: () => undefined }) });
  await once(socket, 'secureConnect');
  const { serialNumber, subjectaltname, issuer } = socket.getPeerCertificate();
  const { authorized, authorizationError } = socket;
  socket.destroy();
  return { trusted: authorized, why: authorizationError, serial: serialNumber, names: subjectaltname, issuer: issuer.CN };
}

// Mostly they wait: at the same time, each with an authority and a server of its own.
describe('a public certificate', { skip: missing('pebble'), concurrency: true }, () => {
  let names;
  const running = [];
  before(async () => {
    names = await startNames();
    // Where nobody is.
    await names.lead(ELSEWHERE, '127.0.0.2');
  });
  after(async () => {
    for (const one of running.reverse()) await one.stop();
    await names?.stop();
  });

  /** An authority, and a server with certificates by it for these domains. */
  async function start(index, { domains = [NAME], seconds, down = false } = {}) {
    let authority;
    const server = await startServer(`acme-${index}`, async (port) => {
      authority = await Authority.make(names, port, { seconds, index });
      running.push(authority);
      if (!down) await authority.start();
      return authority.environment(...domains);
    }, index);
    running.push(server);
    const admin = await Admin.setUp(server, PASSWORD);
    const status = async () => (await admin.call('GET', '/status')).certificate;
    const retry = () => admin.call('POST', '/certificate/retry');
    const inUse = () => until('there is a certificate', async () => (await status()).inUse);
    const own = readFileSync(await server.authority());
    return { authority, server, admin, status, retry, inUse, own };
  }

  test('is got from an authority that is not there yet, and asked for once', async (t) => {
    const { authority, server, status, inUse, own } = await start(0, { down: true });
    // Meanwhile the page is served, by the name too, to whoever trusts the server's own authority.
    const before = await shown(server, NAME, own);
    assert.ok(before.trusted, before.why);
    await until('the operator is told why', async () => (await status()).lastError);
    const { lastError, nextTry, issuer } = await status();
    t.diagnostic(lastError);
    assert.match(lastError, /the ACME server cannot be asked: .* cannot be reached/);
    assert.match(server.log(), /no certificate from the ACME server; the server's own, .* is in use/);
    assert.equal(issuer, null);
    assert.ok(nextTry <= Date.now() / 1000 + 120, `the next try is at ${nextTry}`);

    await authority.start();
    await inUse();
    const now = await shown(server, NAME, authority.root);
    assert.ok(now.trusted, now.why);
    assert.equal(now.names, `DNS:${NAME}`);
    assert.match(now.issuer, /^Pebble Intermediate/);
    for (const other of [null, 'other.example.org']) {
      assert.match((await shown(server, other, own)).issuer, /^Umbrella on/, `shown for ${other}`);
    }
    assert.match(server.log(), new RegExp(`https://${NAME}/sfu`));
    assert.match((await server.get('/trust')).text, new RegExp(`Not needed at ${NAME}`));

    await server.end('SIGTERM');
    await server.start();
    const again = await shown(server, NAME, authority.root);
    assert.deepEqual(again, now);
    const { lastError: error, nextTry: renewal } = await status();
    assert.equal(error, null);
    assert.ok(renewal > Date.now() / 1000 + 50 * 86_400, `the next certificate is asked for at ${renewal}`);
    assert.equal(authority.issued(), 1);
  });

  test('is renewed in time without cutting anybody off, and not shown when it has expired', async () => {
    const { authority, server, status, inUse, own } = await start(1, { seconds: 12 });
    await inUse();
    const first = await shown(server, NAME, authority.root);
    assert.ok(first.trusted, first.why);
    const query = new URLSearchParams({ access_token: await token('hall', 'ann'), protocol: '16', sdk: 'js', version: '2.0.0' });
    const url = `${server.ws}/rtc?${query}`;
    const call = new WebSocket(url, { servername: NAME, ca: authority.root, checkServerIdentity: () => undefined });
    let closed = null;
    call.on('close', (code) => { closed = code; });
    await once(call, 'open');

    const renewed = await until('there is another certificate', async () => {
      const now = await shown(server, NAME, authority.root);
      return now.serial !== first.serial && now;
    });
    // The server's own would be another one, too.
    assert.ok(renewed.trusted, `there was a time without: ${renewed.why}`);
    assert.equal(renewed.names, first.names);
    const pong = once(call, 'pong');
    call.ping();
    await pong;
    assert.equal(closed, null);
    call.terminate();

    await authority.stop();
    const last = await until('the server\'s own is shown', async () => {
      const now = await shown(server, NAME, own);
      return now.issuer.startsWith('Umbrella on') && now;
    });
    assert.ok(last.trusted, last.why);
    const { inUse: used, lastError, issuer } = await status();
    assert.deepEqual([used, /^Pebble Intermediate/.test(issuer)], [false, true]);
    assert.match(lastError, /cannot be asked/);
    await until('the operator is told', () => /the public certificate has expired/.test(server.log()));
  });

  test('for a name that leads elsewhere is asked for rarely, and the operator told why there is none', async (t) => {
    const { authority, server, status, retry, inUse, own } = await start(2, { domains: [NAME, ELSEWHERE] });
    await until('the authority has refused', async () => (await status()).lastError);
    const { lastError, nextTry } = await status();
    t.diagnostic(lastError);
    assert.match(lastError, new RegExp(`each name must lead to this server at port 443, .*\\(${ELSEWHERE}: Failed to connect`));
    assert.doesNotMatch(lastError, new RegExp(`${NAME.replace('.', '\\.')}: `));
    const wait = nextTry - Date.now() / 1000;
    assert.ok(wait > 14 * 60 && wait <= 15 * 60, `the next try is in ${wait} s`);
    assert.ok((await shown(server, NAME, own)).trusted);

    await server.end('SIGTERM');
    await server.start();
    const after = await status();
    assert.deepEqual([after.lastError, after.nextTry], [lastError, nextTry]);
    assert.match(server.log(), /the last try failed; the server's own/);
    assert.equal(authority.issued(), 0);

    // Whoever has mended it need not wait; nor is it the end that the authority has forgotten who we are.
    await authority.restart();
    await names.lead(ELSEWHERE, server.place.ip);
    await retry();
    await until('the authority is told anew', async () => /introduces itself anew/.test((await status()).lastError));
    await inUse();
    const now = await shown(server, ELSEWHERE, authority.root);
    assert.ok(now.trusted, now.why);
    assert.equal((await status()).lastError, null);
  });

  test('does not keep out a server that joined by a secret and knows no such authority', { skip: missing('network') }, async () => {
    const { server, admin, inUse } = await start(3);
    await inUse();
    const { secret } = await admin.call('POST', '/trunks/allowed', { name: 'Hut', rooms: [], expiresInS: null, moderate: true });
    const forget = useNameServer(USUAL, USUAL.ip);
    const hut = await startServer('acme-hut', {}, 4).finally(forget);
    running.push(hut);
    const operator = await Admin.setUp(hut, PASSWORD);
    await operator.call('POST', '/trunks', { url: `https://${NAME}:${server.port}`, secret, rooms: [], moderate: true, insecure: false });
    await until('it has joined', async () => {
      const [{ state, why }] = (await operator.call('GET', '/trunks')).entries;
      return state === 'connected' || Promise.reject(new Error(`${state}: ${why}`));
    });
  });

  test('is not asked for until the terms are accepted', () => {
    const env = { PATH: process.env.PATH, HOME: '/nonexistent', UMBRELLA_ACME_DOMAINS: NAME };
    const { status, stderr } = spawnSync(BINARY, [], { env });
    assert.notEqual(status, 0);
    assert.match(stderr.toString(), /acme\.accept_terms: must be true/);
  });
});
