// The page that says whether calls will work from where a browser is.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Browsers } from '../lib/browsers.mjs';
import { checkConnection, inviteToCheck } from '../lib/check.mjs';
import { dropAtServer } from '../lib/network.mjs';
import { startServer } from '../lib/server.mjs';
import { missing, NETWORK } from '../lib/settings.mjs';

for (const browser of ['chromium', 'firefox']) {
  describe(`the connection check in ${browser}`, { skip: missing(browser, 'network') }, () => {
    let server;
    const browsers = new Browsers();
    let page;
    let invite;
    let open = () => {};
    before(async () => {
      server = await startServer(`check-${browser}`, { UMBRELLA_WORKERS: '2' });
      invite = await inviteToCheck(server);
      page = await browsers.tab(browser);
    });
    afterEach(() => {
      open();
      open = () => {};
    });
    after(async () => {
      await browsers.close();
      await server?.stop();
    });

    const check = () => checkConnection(page, server.url, invite);

    test('what is open is called closed', async () => {
      const { verdict, rows, text } = await check();
      assert.equal(verdict, 'good', text);
      assert.deepEqual(rows, { page: 'good', socket: 'good', udp: 'good', tcp: 'good' }, text);
    });

    test('nobody learns that UDP is blocked', async () => {
      open = dropAtServer(NETWORK, 'udp');
      const { verdict, rows, text } = await check();
      assert.equal(verdict, 'slow', text);
      assert.deepEqual(rows, { page: 'good', socket: 'good', udp: 'bad', tcp: 'good' }, text);
      assert.match(text, new RegExp(`Open UDP ports ${server.mediaPort}, ${server.mediaPort + 1} `));
    });

    test('one port that was forgotten is not named', async () => {
      const rules = [dropAtServer(NETWORK, 'udp', server.mediaPort + 1), dropAtServer(NETWORK, 'tcp', server.mediaPort + 1)];
      open = () => rules.forEach((undo) => undo());
      const { verdict, rows, text } = await check();
      assert.equal(verdict, 'bad', text);
      assert.deepEqual(rows, { page: 'good', socket: 'good', udp: 'bad', tcp: 'bad' }, text);
      assert.match(text, new RegExp(`Open TCP port ${server.mediaPort + 1} `));
      assert.match(text, /Some calls will not work/);
    });

    test('a stranger may check', async () => {
      for (const path of ['/api/admin/check', '/api/invite/nobody/check']) {
        const { status } = await server.get(path);
        assert.ok([401, 404].includes(status), `${path} answered ${status}`);
      }
    });

    test('checks are told to others, or use the invite up', async () => {
      await check();
      const { status, text } = await server.get(`/api/invite/${invite}`);
      assert.equal(status, 200, text);
      assert.equal(JSON.parse(text).participants, 0);
    });
  });
}
