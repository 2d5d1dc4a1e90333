// What applications are told of real calls, read by the SDKs that they use.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RoomServiceClient } from 'livekit-server-sdk';
import { runPython } from '../lib/python.mjs';
import { startReceiver } from '../lib/receiver.mjs';
import { API_KEY, API_SECRET } from '../lib/server.mjs';
import { missing } from '../lib/settings.mjs';
import { suite, TOPOLOGIES } from '../lib/suite.mjs';
import { until } from '../lib/wait.mjs';

// The SDK has no setting for it: the certificate is of the server's own authority.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';

const SECRET_PATH = '/topsecret?key=topsecret';
const receiver = await startReceiver();
const things = suite('webhooks', {
  UMBRELLA_WEBHOOK_URLS: receiver.url + SECRET_PATH,
  UMBRELLA_ROOMS_DEPARTURE_TIMEOUT_S: '1',
});

/** `event identity source`, as far as there is one. */
const say = ({ event, participant, track }) =>
  [event, participant?.identity, track && ['', 'camera', 'microphone'][track.source]].filter(Boolean).join(' ');

describe('an application', { skip: missing('chromium', 'python') }, () => {
  for (const { single, called } of TOPOLOGIES) {
    test(`does not know who is in a call and what they send, or in which order, by ${called}`, async () => {
      const room = things.newRoom();
      const ann = await things.clients.join('chromium', room, 'ann', { single });
      await ann.publish({ camera: true, microphone: true });
      await receiver.hears(room, 'participant_joined', 'ann');
      const bob = await things.clients.join('python', room, 'bob', { single });
      await bob.publish({ microphone: true });
      await Promise.all([bob.seesMoving('ann'), ann.hears('bob')]);
      await ann.update({ metadata: 'tired' });
      await until('bob knows', async () => (await bob.snapshot()).participants.ann?.metadata === 'tired');
      await bob.disconnect();
      await receiver.hears(room, 'participant_left', 'bob');
      await ann.disconnect();
      await receiver.hears(room, 'room_finished');

      const events = receiver.of(room);
      const told = events.map(say);
      const sent = ['track_published ann camera', 'track_published ann microphone'];
      const ended = ['track_unpublished ann camera', 'track_unpublished ann microphone'];
      assert.deepEqual(told.slice(0, 2), ['room_started', 'participant_joined ann']);
      assert.deepEqual(told.slice(2, 4).sort(), sent);
      assert.deepEqual(told.slice(4, 8), [
        'participant_joined bob', 'track_published bob microphone', 'track_unpublished bob microphone', 'participant_left bob',
      ]);
      assert.deepEqual(told.slice(8, 10).sort(), ended);
      assert.deepEqual(told.slice(10), ['participant_left ann', 'room_finished']);

      assert.equal(new Set(events.map(({ id }) => id)).size, events.length, 'ids are unique');
      assert.equal(new Set(events.map((event) => event.room.sid)).size, 1);
      const [left] = events.filter((event) => say(event) === 'participant_left ann');
      assert.equal(left.participant.metadata, 'tired', 'it is told as it was at the end');
      const now = Date.now() / 1000;
      for (const { createdAt } of events) assert.ok(Math.abs(now - Number(createdAt)) < 300, `made at ${createdAt}`);
      assert.deepEqual(receiver.errors, []);
    });
  }

  test('takes what a stranger sends, or changes on the way, for ours', async () => {
    const room = things.newRoom();
    const rooms = new RoomServiceClient(things.server.url, API_KEY, API_SECRET);
    await rooms.createRoom({ name: room });
    await receiver.hears(room, 'room_started');
    const { body, authorization, type } = receiver.requests.find((request) => request.body.includes(room));
    assert.equal(type, 'application/webhook+json');
    await receiver.check(body, authorization);
    await assert.rejects(receiver.check(body.replace(room, 'another'), authorization), /checksum/);
    await assert.rejects(receiver.check(body, `${authorization.slice(0, -8)}AAAAAAAA`));
    await assert.rejects(receiver.check(body));

    const read = (input) => runPython('webhook.py', { body, authorization, key: API_KEY, secret: API_SECRET, ...input });
    assert.deepEqual(await read({}), { event: 'room_started', room });
    assert.deepEqual(await read({ body: body.replace(room, 'another') }), { error: 'hash mismatch' });
    assert.match((await read({ secret: 'not the secret, but as long as one' })).error, /verification failed/);
    await rooms.deleteRoom(room);
  });

  test('misses an event while it starts anew, or reads its secret in our log', async () => {
    const room = things.newRoom();
    const rooms = new RoomServiceClient(things.server.url, API_KEY, API_SECRET);
    receiver.fail = 2;
    await rooms.createRoom({ name: room });
    await rooms.deleteRoom(room);
    await receiver.hears(room, 'room_finished');
    assert.deepEqual(receiver.of(room).map(say), ['room_started', 'room_finished']);
    const log = things.server.log();
    assert.match(log, /takes no events/);
    assert.match(log, /takes events again/);
    assert.ok(!log.includes('topsecret'), 'the log has the secret of the address');
  });
});
