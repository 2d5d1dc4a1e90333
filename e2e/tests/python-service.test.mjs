// The server API, as applications in Python use it: through the SDK, on rooms with people in them.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AccessToken } from 'livekit-server-sdk';
import { PythonService } from '../lib/python-service.mjs';
import { API_KEY, API_SECRET } from '../lib/server.mjs';
import { missing } from '../lib/settings.mjs';
import { suite } from '../lib/suite.mjs';
import { until } from '../lib/wait.mjs';

const things = suite('python-service');
const base64 = (text) => Buffer.from(text).toString('base64');

/** The SDK's calls, each as a method with its fields. */
function service(credentials) {
  const python = new PythonService(things.server, credentials);
  return new Proxy({}, { get: (_, method) => (request) => python.call(method, request) });
}

/** A room as the application wants it, in which the first one is seen and heard by the second. */
async function call() {
  const room = things.newRoom();
  const rooms = service();
  const made = await rooms.create_room({ name: room, empty_timeout: 300, max_participants: 2, metadata: 'agenda' });
  const [ann, bob] = await Promise.all(['ann', 'bob'].map((name) => things.clients.join('chromium', room, name)));
  await ann.publish({ camera: true, microphone: true });
  await Promise.all([bob.seesMoving('ann'), bob.hears('ann')]);
  return { rooms, room, made, ann, bob };
}

describe('an application in Python', { skip: missing('chromium', 'python') }, () => {
  test('does not find its room, or who is in it', async () => {
    const { rooms, room, made } = await call();
    assert.match(made.sid, /^RM_/);
    const { rooms: found } = await rooms.list_rooms({ names: [room] });
    const { sid, metadata, maxParticipants, emptyTimeout, numParticipants } = found[0];
    assert.deepEqual(
      { sid, metadata, maxParticipants, emptyTimeout, numParticipants },
      { sid: made.sid, metadata: 'agenda', maxParticipants: 2, emptyTimeout: 300, numParticipants: 2 },
    );
    const { participants } = await rooms.list_participants({ room });
    assert.deepEqual(participants.map(({ identity }) => identity).sort(), ['ann', 'bob']);
    const ann = await rooms.get_participant({ room, identity: 'ann' });
    assert.deepEqual(ann.tracks.map(({ source }) => source).sort(), ['CAMERA', 'MICROPHONE']);
    assert.deepEqual([ann.state, ann.isPublisher], ['ACTIVE', true]);
    const changed = await rooms.update_room_metadata({ room, metadata: 'minutes' });
    assert.equal(changed.metadata, 'minutes');
  });

  test('moderates, and people in the call do not notice', async () => {
    const { rooms, room, ann, bob } = await call();
    await rooms.send_data({ room, data: base64('the end is near'), kind: 'RELIABLE', topic: 'news', destination_identities: ['bob'] });
    const news = await until('bob gets the message', async () => (await bob.snapshot()).data[0]);
    assert.deepEqual([news.text, news.topic], ['the end is near', 'news']);
    assert.deepEqual((await ann.snapshot()).data, [], 'ann reads what is for bob');

    const { tracks } = await rooms.get_participant({ room, identity: 'ann' });
    const [camera, microphone] = ['CAMERA', 'MICROPHONE'].map((name) => tracks.find(({ source }) => source === name).sid);
    await rooms.update_subscriptions({ room, identity: 'bob', track_sids: [camera], subscribe: false });
    await until('bob loses the picture', async () => !(await bob.track('ann', 'camera')).frames);
    await rooms.update_subscriptions({ room, identity: 'bob', track_sids: [camera], subscribe: true });
    await bob.seesMoving('ann');

    const { track } = await rooms.mute_published_track({ room, identity: 'ann', track_sid: microphone, muted: true });
    assert.deepEqual([track.sid, track.muted], [microphone, true]);
    await until('ann is muted for bob', async () => (await bob.track('ann', 'microphone')).muted);

    const change = { metadata: 'tired', attributes: { hand: 'up' }, permission: { can_subscribe: true, can_publish: false, can_publish_data: true } };
    const updated = await rooms.update_participant({ room, identity: 'ann', ...change });
    assert.deepEqual([updated.metadata, updated.attributes, updated.permission.canPublish ?? false], ['tired', { hand: 'up' }, false]);
    await until('bob knows', async () => (await bob.snapshot()).participants.ann?.metadata === 'tired');
    await until('ann publishes no more', async () => !(await bob.track('ann', 'camera')).frames);
  });

  test('sends somebody away who stays, or ends a room that goes on', async () => {
    const { rooms, room, ann, bob } = await call();
    await rooms.remove_participant({ room, identity: 'ann' });
    await until('ann has to go', async () => (await ann.snapshot()).disconnected);
    await until('ann is gone for bob', async () => !(await bob.snapshot()).participants.ann);
    await rooms.delete_room({ room });
    await until('bob has to go', async () => (await bob.snapshot()).disconnected);
    assert.deepEqual(await rooms.list_rooms({ names: [room] }), {});
    await assert.rejects(rooms.get_participant({ room, identity: 'bob' }), { code: 'not_found', status: 404 });
  });

  test('manages rooms with a wrong secret, or without the grant', async () => {
    const room = things.newRoom();
    const stranger = service({ key: API_KEY, secret: 'not the secret, but as long as one' });
    await assert.rejects(stranger.create_room({ name: room }), { code: 'unauthenticated', status: 401 });
    const access = new AccessToken(API_KEY, API_SECRET);
    access.addGrant({ roomList: true, roomAdmin: true, room: 'another' });
    const limited = service({ token: await access.toJwt() });
    await assert.rejects(limited.create_room({ name: room }), { code: 'permission_denied', status: 403 });
    await assert.rejects(limited.list_participants({ room }), { code: 'permission_denied', status: 403 });
    assert.deepEqual(await limited.list_rooms({ names: [room] }), {});
  });
});
