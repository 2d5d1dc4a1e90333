// A network that lets nothing through but the page and a relay.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Browsers } from '../lib/browsers.mjs';
import { checkConnection, inviteToCheck } from '../lib/check.mjs';
import { Clients } from '../lib/clients.mjs';
import { startNames } from '../lib/names.mjs';
import { admitOnly, makePlaces, removePlaces } from '../lib/network.mjs';
import { credentials, RELAY_PORT, RELAY_SECRET, RELAY_TLS_PORT, startRelay } from '../lib/relay.mjs';
import { startServer } from '../lib/server.mjs';
import { missing, NETWORK } from '../lib/settings.mjs';
import { TOPOLOGIES } from '../lib/suite.mjs';
import { startTraefik } from '../lib/traefik.mjs';

const skip = missing('chromium', 'python', 'network', 'turnserver');
const NAME = 'turn.umbrella.test';

/** Ann is in the cafe behind the firewall, bob is not. */
let places;
let relay;
let names;

before(async () => {
  if (skip) return;
  places = makePlaces(NETWORK, ['cafe', 'sfu', 'relay'], [['cafe', 'sfu'], ['cafe', 'relay'], ['relay', 'sfu']]);
  names = await startNames(places.cafe, { [NAME]: places.sfu.cables.cafe.ip });
  relay = await startRelay(places.relay, { clients: [places.cafe], server: places.sfu, name: NAME });
});
after(async () => {
  await relay?.stop();
  await names?.stop();
  removePlaces(places ?? {});
});

/** A server at its place, and clients in the cafe and outside it, for the tests of a `describe`. */
function meeting(name, { env = () => ({}), url, flags, firewall }) {
  const things = {};
  let open;
  before(async () => {
    const { sfu, cafe } = places;
    things.server = await startServer(name, env(), 0, sfu);
    open = firewall();
    const inCafe = { ws: url?.() ?? things.server.originAt(sfu.cables.cafe.ip).replace(/^http/, 'ws'), authority: async () => null };
    things.cafe = new Clients(inCafe, cafe.namespace, flags);
    things.outside = new Clients(things.server);
  });
  afterEach(() => Promise.all([things.cafe, things.outside].map((clients) => clients?.clear())));
  after(async () => {
    await Promise.all([things.cafe, things.outside].map((clients) => clients?.close()));
    open?.forEach((repair) => repair());
    await things.server?.stop();
  });
  return things;
}

/** Both see and hear each other; how ann's media went. */
async function meet({ cafe, outside }, room, options) {
  const [ann, bob] = await Promise.all([cafe.join('chromium', room, 'ann', options), outside.join('chromium', room, 'bob', options)]);
  await Promise.all([ann, bob].map((who) => who.publish({ camera: true, microphone: true, maxBitrate: 300_000 })));
  await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann'), ann.hears('bob'), bob.hears('ann')]);
  const { paths } = await ann.snapshot();
  return paths;
}

/** What a browser in the cafe gets of a relay: the types of its candidates, and the relay's refusals. */
function gather(ann, server) {
  return ann.page.evaluate(async (iceServer) => {
    const connection = new RTCPeerConnection({ iceServers: [iceServer], iceTransportPolicy: 'relay' });
    const found = { types: [], errors: [] };
    connection.onicecandidateerror = ({ errorCode }) => found.errors.push(errorCode);
    connection.createDataChannel('x');
    const done = new Promise((resolve) => {
      connection.onicecandidate = ({ candidate }) => (candidate ? found.types.push(candidate.type) : resolve());
    });
    await connection.setLocalDescription();
    await done;
    connection.close();
    return found;
  }, server);
}

const relayUrl = (transport) => `turn:${places.relay.cables.cafe.ip}:${RELAY_PORT}?transport=${transport}`;
const pageOnly = () => admitOnly(places.sfu, places.cafe, [['tcp', 8081]]);

for (const transport of ['udp', 'tcp']) {
  describe(`a network that lets through the page and the relay over ${transport.toUpperCase()}`, { skip }, () => {
    const things = meeting(`turn-${transport}`, {
      env: () => ({ UMBRELLA_TURN_URLS: relayUrl(transport), UMBRELLA_TURN_SECRET: RELAY_SECRET }),
      firewall: () => [pageOnly(), admitOnly(places.relay, places.cafe, [[transport, RELAY_PORT]])],
    });
    for (const { single, called } of TOPOLOGIES) {
      test(`people meet by ${called}`, async () => {
        const paths = await meet(things, `turn-${transport}-${single}`, { single });
        assert.ok(paths.length > 0 && paths.every((path) => path === `relay-${transport}`), `paths: ${paths}`);
      });
    }
    test('the connection check does not see that the relay helps', async () => {
      const browsers = new Browsers(places.cafe.namespace);
      try {
        const { server } = things;
        const page = await browsers.tab('chromium');
        const origin = server.originAt(places.sfu.cables.cafe.ip);
        const { verdict, rows, text } = await checkConnection(page, origin, await inviteToCheck(server));
        assert.equal(verdict, 'slow', text);
        assert.deepEqual(rows, { page: 'good', socket: 'good', udp: 'bad', tcp: 'bad', [relayUrl(transport)]: 'good' }, text);
      } finally {
        await browsers.close();
      }
    });
    test('the relay reaches nothing but the media', () => {
      // The server says its address at the tests' cable too.
      assert.match(relay.log(), new RegExp(`peer IP ${places.sfu.ip} denied`));
    });
  });
}

describe('a relay', { skip }, () => {
  test('refuses expired and forged credentials', async () => {
    const clients = new Clients({ authority: async () => null }, places.cafe.namespace);
    try {
      const ann = await clients.make('chromium', 'ann');
      const ask = (login) => gather(ann, { urls: relayUrl('tcp'), ...login });
      assert.deepEqual((await ask(credentials(60))).types, ['relay']);
      for (const login of [credentials(-60), credentials(60, 'another secret')]) {
        const { types, errors } = await ask(login);
        assert.deepEqual(types, []);
        assert.ok(errors.includes(401), `errors: ${errors}`);
      }
    } finally {
      await clients.close();
    }
  });
});

describe('a network that lets through one port, which the page and the relay share', { skip }, () => {
  let proxy;
  const things = meeting('turn-443', {
    env: () => ({
      UMBRELLA_CLOUD: '1',
      UMBRELLA_HTTP_PREFIX: '/umbrella',
      UMBRELLA_TURN_URLS: `turns:${NAME}:443`,
      UMBRELLA_TURN_SECRET: RELAY_SECRET,
    }),
    url: () => `wss://${places.sfu.cables.cafe.ip}/umbrella`,
    // The relay's certificate is nobody's.
    flags: ['--ignore-certificate-errors'],
    firewall: () => [admitOnly(places.sfu, places.cafe, [['tcp', 443]]), admitOnly(places.relay, places.cafe, [])],
  });
  before(async () => {
    const address = `${places.relay.cables.sfu.ip}:${RELAY_TLS_PORT}`;
    proxy = await startTraefik(things.server, { port: 443, relay: { name: NAME, address } });
  });
  after(() => proxy?.stop());
  for (const { single, called } of TOPOLOGIES) {
    test(`people meet by ${called}`, async () => {
      const paths = await meet(things, `turn-443-${single}`, { single });
      assert.ok(paths.length > 0 && paths.every((path) => path === 'relay-tls'), `paths: ${paths}`);
    });
  }
});

describe('the same network without a relay', { skip }, () => {
  const things = meeting('turn-none', {
    firewall: () => [pageOnly(), admitOnly(places.relay, places.cafe, [['udp', RELAY_PORT], ['tcp', RELAY_PORT]])],
  });
  test('nobody gets in from it', async () => {
    await assert.rejects(things.cafe.join('chromium', 'turn-none', 'ann'), /could not establish/i);
  });
});
