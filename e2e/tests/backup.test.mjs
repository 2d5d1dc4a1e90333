// A machine is lost: its backup, made while people talk, is brought back on another one.

import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Admin } from '../lib/admin.mjs';
import { Clients } from '../lib/clients.mjs';
import { startServer } from '../lib/server.mjs';
import { missing } from '../lib/settings.mjs';

const PASSWORD = 'correct horse battery';

describe('a backup', { skip: missing('chromium', 'python') }, () => {
  let server;
  let clients;
  before(async () => {
    server = await startServer('backup');
    clients = new Clients(server);
  });
  after(async () => {
    await clients?.close();
    await server?.stop();
  });

  const identity = async () => {
    const { node, fingerprint, allowed } = JSON.parse(await server.command('trunk', 'list', '--json'));
    return { node, fingerprint, allowed: allowed.map(({ key, name }) => ({ key, name })) };
  };
  const look = (token) => server.get(`/api/invite/${token}`);

  test('is made during a call and brings everything back in a new directory', async (t) => {
    const admin = await Admin.setUp(server, PASSWORD);
    await admin.call('POST', '/rooms', { name: 'kitchen' });
    const invite = await admin.call('POST', '/invites', { room: 'kitchen', role: 'talk', expiresInS: null, uses: 5 });
    const token = invite.path.split('#/join/')[1];
    await server.command('trunk', 'allow', '--name', 'Hut');
    const [known, authority] = [await identity(), (await server.get('/ca.crt')).bytes];

    const [ann, bob] = await Promise.all([clients.join('chromium', 'kitchen', 'ann'), clients.join('python', 'kitchen', 'bob')]);
    await Promise.all([ann.publish({ camera: true }), bob.publish({ camera: true })]);
    await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann')]);
    const file = join(server.data, 'umbrella.backup');
    t.diagnostic(await server.command('backup', file));
    assert.equal(statSync(file).mode & 0o777, 0o600);
    await assert.rejects(server.command('backup', file), /--force/);
    await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann')]);
    await assert.rejects(server.command('restore', file, '--force'), /in use by another umbrella/);

    // What comes after the backup is not in it.
    await Admin.setUp(server, 'another password');
    await admin.call('DELETE', '/rooms/kitchen').catch(() => null);
    const later = await Admin.logIn(server, 'another password');
    await later.call('DELETE', `/invites/${invite.invite.id}`);
    await later.call('POST', '/rooms', { name: 'later' });
    await server.command('trunk', 'revoke', 'Hut');
    assert.equal((await look(token)).status, 404);
    await clients.clear();
    assert.equal((await server.end('SIGTERM')).code, 0);

    server.env.UMBRELLA_DATA_DIR = join(server.data, 'another machine');
    t.diagnostic(await server.command('restore', file));
    await server.start();
    const back = await Admin.logIn(server, PASSWORD);
    assert.deepEqual((await back.call('GET', '/rooms')).map(({ name }) => name), ['kitchen']);
    assert.equal((await look(token)).status, 200);
    assert.deepEqual(await identity(), known);
    assert.deepEqual((await server.get('/ca.crt')).bytes, authority);
    const [cid, dan] = await Promise.all([clients.join('chromium', 'kitchen', 'cid'), clients.join('python', 'kitchen', 'dan')]);
    await dan.publish({ camera: true });
    await cid.seesMoving('dan');
  });
});
