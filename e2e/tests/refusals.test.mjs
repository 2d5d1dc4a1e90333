// Who may not come in is told why, and nobody suffers from what strangers send.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { describe, test } from 'node:test';
import WebSocket from 'ws';
import { missing, SERVER_IP } from '../lib/settings.mjs';
import { suite } from '../lib/suite.mjs';
import { token } from '../lib/tokens.mjs';
import { sleep, until } from '../lib/wait.mjs';

const things = suite('refusals');

/** Opens a signalling socket; resolves once it is open or refused. */
function open(path) {
  return new Promise((resolve) => {
    const socket = new WebSocket(things.server.ws + path, { rejectUnauthorized: false, handshakeTimeout: 10_000 });
    socket.on('open', () => resolve({ socket, status: 101 }));
    socket.on('unexpected-response', (request, response) => {
      let body = '';
      response.on('data', (chunk) => { body += chunk; });
      response.on('end', () => resolve({ status: response.statusCode, body }));
    });
    socket.on('error', (error) => resolve({ status: 0, body: error.message }));
  });
}

const closed = (socket) => new Promise((resolve) => socket.once('close', resolve));
const rtc = (access) => `/rtc?access_token=${access}&auto_subscribe=1&sdk=js&version=2.23.0&protocol=16`;

describe('a refusal comes before the socket opens and says why', () => {
  const cases = {
    'no token': async () => '',
    'not a token': async () => 'rubbish',
    'an expired token': () => token('r', 'ann', { ttl: -3600 }),
    'an unknown key': () => token('r', 'ann', { key: 'nobody' }),
    'a wrong secret': () => token('r', 'ann', { secret: 'another-secret-of-thirty-two-bytes!!' }),
    'no grant to join': () => token('r', 'ann', { grants: { roomJoin: false } }),
  };
  for (const [what, make] of Object.entries(cases)) {
    test(what, async () => {
      const access = await make();
      const { status, body } = await open(rtc(access));
      assert.ok(status === 401 || status === 403, `status ${status}`);
      assert.ok(body.trim().length > 3, `the reason: ${JSON.stringify(body)}`);
      for (const path of ['/rtc/validate', '/rtc/v1/validate']) {
        const answer = await things.server.get(`${path}?access_token=${access}`);
        assert.ok(answer.status === 401 || answer.status === 403, `${path}: ${answer.status}`);
        assert.equal(answer.headers['access-control-allow-origin'], '*');
        assert.ok(answer.text.trim().length > 3);
      }
    });
  }

  test('a good token passes the check', async () => {
    const answer = await things.server.get(`/rtc/validate?access_token=${await token('r', 'ann')}`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['access-control-allow-origin'], '*');
  });
});

describe('bystanders notice nothing', { skip: missing('chromium') }, () => {
  const room = () => things.newRoom();

  /** Two people talk while `nuisance` goes on, and are as well after it as before. */
  async function undisturbed(name, nuisance) {
    const [ann, bob] = await Promise.all([things.clients.join('chromium', name, 'ann'), things.clients.join('chromium', name, 'bob')]);
    await Promise.all([ann.publish({ camera: true, microphone: true }), bob.publish({ camera: true, microphone: true })]);
    await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann')]);
    await nuisance();
    await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann'), ann.hears('bob'), bob.hears('ann')]);
    for (const person of [ann, bob]) {
      const { state, disconnected } = await person.snapshot();
      assert.equal(state, 'connected');
      assert.equal(disconnected, null);
    }
  }

  test('of rubbish, oversized and text frames', async () => {
    const name = room();
    await undisturbed(name, async () => {
      for (const rubbish of [randomBytes(400), Buffer.alloc(8 << 20, 0xff), 'text', Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f])]) {
        const { socket, status } = await open(rtc(await token(name, 'mallory')));
        assert.equal(status, 101);
        socket.on('error', () => {});
        socket.send(rubbish);
        await Promise.race([closed(socket), sleep(2_000)]);
        socket.terminate();
      }
    });
  });

  test('of sockets opened and dropped', async () => {
    const name = room();
    await undisturbed(name, async () => {
      for (let round = 0; round < 20; round++) {
        const all = await Promise.all(Array.from({ length: 15 }, async (_, i) => open(rtc(await token(name, `drop-${round}-${i}`)))));
        all.forEach(({ socket }) => socket?.terminate());
      }
    });
  });

  test('of a client that joins and never answers', async () => {
    const name = room();
    await undisturbed(name, async () => {
      const { socket } = await open(rtc(await token(name, 'silent')));
      await sleep(3_000);
      socket.terminate();
    });
  });

  test('of random datagrams to the media port', async () => {
    await undisturbed(room(), async () => {
      const udp = createSocket('udp4');
      for (let count = 0; count < 20_000; count++) {
        udp.send(randomBytes(20 + (count % 1_180)), things.server.mediaPort, SERVER_IP);
        if (count % 200 === 0) await sleep(5);
      }
      await sleep(200);
      udp.close();
    });
  });
});

describe('people who leave in other ways', { skip: missing('chromium') }, () => {
  test('the later one of two with the same identity stays', async () => {
    const name = things.newRoom();
    const first = await things.clients.join('chromium', name, 'twin');
    const second = await things.clients.join('chromium', name, 'twin');
    await until('the first is out', async () => (await first.snapshot()).disconnected !== null);
    assert.equal((await second.snapshot()).state, 'connected');
  });

  test('a guest who may only watch cannot publish but sees', async () => {
    const name = things.newRoom();
    const ann = await things.clients.join('chromium', name, 'ann');
    await ann.publish({ camera: true });
    const guest = await things.clients.join('chromium', name, 'guest', { as: { grants: { canPublish: false } } });
    await guest.seesMoving('ann');
    await assert.rejects(guest.publish({ camera: true }));
  });

  test('a hidden participant is not shown to others', async () => {
    const name = things.newRoom();
    const ann = await things.clients.join('chromium', name, 'ann');
    await ann.publish({ camera: true });
    const ghost = await things.clients.join('chromium', name, 'ghost', { as: { grants: { hidden: true } } });
    await ghost.seesMoving('ann');
    assert.deepEqual(Object.keys((await ann.snapshot()).participants), []);
  });
});
