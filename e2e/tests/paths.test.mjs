// The ways through networks: TCP alone, plain HTTP as behind a reverse proxy.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { blockUdp } from '../lib/network.mjs';
import { missing, NETWORK, SERVER_IP } from '../lib/settings.mjs';
import { meet, suite, TOPOLOGIES } from '../lib/suite.mjs';

describe('TCP alone', { skip: missing('chromium', 'python', 'network') }, () => {
  const things = suite('tcp');
  let unblock;
  before(() => { unblock = blockUdp(NETWORK); });
  after(() => unblock?.());
  for (const { single, called } of TOPOLOGIES) {
    for (const pair of [['chromium', 'chromium'], ['chromium', 'python']]) {
      test(`${pair.join(' and ')} meet by ${called}`, async () => {
        const [ann] = await meet(things.clients, pair, things.newRoom(), { single });
        const { paths } = await ann.snapshot();
        assert.ok(paths.length > 0 && paths.every((path) => path === 'tcp'), `paths: ${paths}`);
      });
    }
  }
});

describe('plain HTTP, as behind a proxy', { skip: missing('chromium', 'python') }, () => {
  const things = suite('cloud', { UMBRELLA_CLOUD: '1', ...(NETWORK ? { UMBRELLA_PUBLIC_IP: SERVER_IP } : {}) });
  for (const { single, called } of TOPOLOGIES) {
    test(`a browser and a native client meet by ${called}`, async () => {
      await meet(things.clients, ['chromium', 'python'], things.newRoom(), { single });
    });
  }
});
