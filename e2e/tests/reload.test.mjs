// The operator changes the configuration while people talk: they notice nothing of it.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Clients } from '../lib/clients.mjs';
import { API_KEY, API_SECRET, startServer } from '../lib/server.mjs';
import { missing } from '../lib/settings.mjs';
import { token } from '../lib/tokens.mjs';
import { until } from '../lib/wait.mjs';

const OLD = { key: API_KEY, secret: API_SECRET };
const NEW = { key: 'newkey', secret: 'another-secret-of-thirty-two-bytes!!' };

/** A whole file. */
const written = ({ name, keys, more = '' }) => [
  '[server]', `name = "${name}"`, more, '[auth.keys]', ...keys.map(({ key, secret }) => `${key} = "${secret}"`), '',
].join('\n');

describe('a new configuration', { skip: missing('chromium', 'python') }, () => {
  let home;
  let file;
  let server;
  let clients;
  before(async () => {
    home = mkdtempSync(join(tmpdir(), 'umbrella-e2e-'));
    file = join(home, 'umbrella.toml');
    writeFileSync(file, written({ name: 'Hut', keys: [OLD] }));
    server = await startServer('reload', { UMBRELLA_CONFIG: file, UMBRELLA_KEYS: undefined });
    clients = new Clients(server);
  });
  after(async () => {
    await clients?.close();
    await server?.stop();
    rmSync(home, { recursive: true, force: true });
  });

  const name = async () => JSON.parse((await server.get('/api/session')).text).serverName;
  const lets = async (who) => (await server.get(`/rtc/validate?access_token=${await token('talk', 'eve', who)}`)).status;

  test('counts at once and ends no call', async (t) => {
    const [ann, bob] = await Promise.all([clients.join('chromium', 'talk', 'ann'), clients.join('python', 'talk', 'bob')]);
    await Promise.all([ann.publish({ camera: true, microphone: true }), bob.publish({ camera: true, microphone: true })]);
    const goesOn = async (what) => {
      await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann'), ann.hears('bob'), bob.hears('ann')]);
      for (const person of [ann, bob]) {
        const { state, disconnected } = await person.snapshot();
        assert.deepEqual({ state, disconnected }, { state: 'connected', disconnected: null }, what);
      }
    };
    await goesOn('before');
    assert.deepEqual([await lets(OLD), await lets(NEW)], [200, 401]);

    writeFileSync(file, written({ name: 'House', keys: [NEW] }));
    server.child.kill('SIGHUP');
    await until('the new name is shown', async () => (await name()) === 'House');
    assert.deepEqual([await lets(OLD), await lets(NEW)], [401, 200]);
    await goesOn('after SIGHUP');
    const cid = await clients.join('python', 'talk', 'cid', { as: NEW });
    await cid.publish({ camera: true });
    await ann.seesMoving('cid');

    writeFileSync(file, written({ name: 'Tower', keys: [NEW], more: '[http]\nlisten = "127.0.0.1:1"\nmax_connections = 100\n' }));
    const said = await server.command('reload');
    t.diagnostic(said);
    assert.match(said, /^In use from now on: server\.name$/m);
    // That of the environment wins, so that only the other one has changed.
    assert.match(said, /^After a restart: http\.max_connections$/m);
    assert.equal(await name(), 'Tower');

    // A mistake changes nothing; it is found without being asked for, and named.
    writeFileSync(file, `${written({ name: 'Ruin', keys: [OLD] })}wrong`);
    await assert.rejects(server.command('reload'), /umbrella\.toml/);
    await until('the mistake is in the log', () => /the new configuration is not used.*umbrella\.toml/s.test(server.log()));
    assert.equal(await name(), 'Tower');
    assert.deepEqual([await lets(OLD), await lets(NEW)], [401, 200]);
    assert.match(await server.command('health'), /^alive: /);

    writeFileSync(file, written({ name: 'Castle', keys: [NEW, OLD] }));
    await until('the file is seen to have changed', async () => (await name()) === 'Castle');
    assert.deepEqual([await lets(OLD), await lets(NEW)], [200, 200]);
    await goesOn('at the end');
    assert.ok(!server.log().includes(NEW.secret), 'a secret is in the log');
  });
});
