// A server with little memory: it does not take what it cannot hold, and who is in notices nothing.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import WebSocket from 'ws';
import { Admin } from '../lib/admin.mjs';
import { missing, SERVER_IP } from '../lib/settings.mjs';
import { suite } from '../lib/suite.mjs';
import { token } from '../lib/tokens.mjs';
import { until } from '../lib/wait.mjs';

const BOUND_MIB = 80;
/** Each takes about 0.3 MiB, as it says so much of itself: this would be twice the bound. */
const STORM = 400;
const PASSWORD = 'a password that nobody guesses';
const METADATA = 'x'.repeat(48_000);
/** Handshakes at a time. */
const AT_ONCE = 32;

// UMBRELLA_E2E_NO_BOUND=1 shows that the storm is one.
const bound = process.env.UMBRELLA_E2E_NO_BOUND ? '0' : `${BOUND_MIB}`;
const things = suite('memory', {
  UMBRELLA_LIMIT_MEMORY_MB: bound,
  UMBRELLA_LIMIT_SOCKETS_PER_ADDRESS: '4096',
  UMBRELLA_LIMIT_PARTICIPANTS_PER_ROOM: '0',
  // One address stands for many people here.
  UMBRELLA_TRUSTED_PROXIES: `${SERVER_IP}/16`,
  UMBRELLA_METRICS_TOKEN: 'a-token-of-more-than-16',
});

/** Joins without ever sending media: the socket, or why not. */
async function join(room, identity) {
  const access = await token(room, identity, { metadata: METADATA });
  const query = `access_token=${access}&auto_subscribe=1&sdk=js&version=2.23.0&protocol=16`;
  return new Promise((resolve) => {
    const socket = new WebSocket(`${things.server.ws}/rtc?${query}`, { rejectUnauthorized: false, perMessageDeflate: false });
    socket.on('open', () => resolve({ status: 101, socket }));
    socket.on('unexpected-response', (_, response) => {
      let body = '';
      response.on('data', (chunk) => { body += chunk; });
      response.on('end', () => resolve({ status: response.statusCode, body }));
    });
    socket.on('error', (error) => resolve({ status: 0, body: error.message }));
  });
}

/** So many join as fast as they can; `once` is done when the first of them is refused. */
async function storm(once) {
  const answers = [];
  let next = 0;
  let done;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < STORM) {
      next += 1;
      // In small rooms: what is told to all in a large one takes its time.
      const answer = await join(`hall-${next % 40}`, `guest-${next}`);
      answers.push(answer);
      if (answer.status === 503) done ??= once();
    }
  }));
  await done;
  return answers;
}

/** Asks for a token as the page does for a guest. */
function byInvite(secret) {
  const body = JSON.stringify({ name: 'Gus', clientId: 'a-browser-tab' });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  return things.server.request('POST', `/api/invite/${secret}/join`, { body, headers });
}

async function figure(name) {
  const headers = { authorization: 'Bearer a-token-of-more-than-16' };
  const { text } = await things.server.get('/metrics', { headers });
  const line = text.split('\n').find((it) => it.startsWith(`${name} `));
  return Number(line?.split(' ').at(-1));
}

describe('where memory is bounded', { skip: missing('chromium') }, () => {
  test('a storm of joins is turned away, a call goes on, and the next are let in', async (t) => {
    const room = things.newRoom();
    const [ann, bob] = await Promise.all(['ann', 'bob'].map((name) => things.clients.join('chromium', room, name)));
    await Promise.all([ann, bob].map((person) => person.publish({ camera: true, microphone: true })));
    await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann')]);
    t.diagnostic(`${Math.round(things.server.residentMib())} MiB with two in a call`);

    const admin = await Admin.setUp(things.server, PASSWORD);
    const invite = await admin.call('POST', '/invites', { room, role: 'talk', expiresInS: null, uses: null });

    const answers = await storm(async () => {
      const answer = await byInvite(invite.path.split('#/join/')[1]);
      assert.equal(answer.status, 503);
      assert.match(JSON.parse(answer.text).message, /^The server has no memory left for more;/);
      // It takes 19 MiB to look at a password.
      const { memory } = await (await Admin.logIn(things.server, PASSWORD)).call('GET', '/status');
      assert.deepEqual([memory.boundBytes, memory.tight], [BOUND_MIB * 1024 * 1024, true]);
    });
    const inside = answers.filter(({ status }) => status === 101);
    const refused = answers.filter(({ status }) => status === 503);
    t.diagnostic(`${inside.length} came in, ${refused.length} were refused, ${Math.round(things.server.residentMib())} MiB`);
    assert.equal(inside.length + refused.length, STORM, JSON.stringify(answers.find(({ status }) => status === 0)));
    assert.ok(inside.length >= 5, 'there was room for some');
    assert.ok(refused.length >= 50, 'there was no room for all');
    for (const { body } of refused) assert.match(body, /no memory left for more/);
    await until('the operator is told', () => /memory is tight/.test(things.server.log()));
    assert.equal(await figure('umbrella_memory_bound_bytes'), BOUND_MIB * 1024 * 1024);
    // The guest is one more.
    assert.equal(await figure('umbrella_memory_refusals_total{work="join"}'), refused.length + 1);

    await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann'), ann.hears('bob'), bob.hears('ann')]);
    // Whoever is in may come in anew, as after a reload of the page.
    const again = await join('hall-1', 'guest-1');
    assert.equal(again.status, 101, again.body);

    for (const { socket } of [...inside, again]) socket.terminate();
    const late = await until('somebody is let in again', async () => {
      const answer = await join('hall-1', 'late');
      return answer.status === 101 && answer;
    }, { every: 500 });
    late.socket.terminate();

    // What the allocator keeps of the first storm has room for the second one.
    await until('plenty again', async () => await figure('umbrella_memory_tight') === 0);
    const more = await storm(async () => {});
    const second = more.filter(({ status }) => status === 101);
    t.diagnostic(`${second.length} came in with the second storm, ${Math.round(things.server.residentMib())} MiB`);
    assert.ok(second.length >= 5 && second.length <= STORM - 50, `${second.length} came in`);
    for (const { socket } of second) socket.terminate();
    await ann.seesMoving('bob');

    const peak = Math.round(things.server.peakMib());
    t.diagnostic(`${peak} MiB at most`);
    assert.ok(peak < BOUND_MIB, `${peak} MiB of ${BOUND_MIB}`);
  });
});
