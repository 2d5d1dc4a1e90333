// The server API, as applications use it: through the SDK, on rooms with people in them.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataPacket_Kind, RoomServiceClient } from 'livekit-server-sdk';
import { API_KEY, API_SECRET } from '../lib/server.mjs';
import { missing } from '../lib/settings.mjs';
import { suite } from '../lib/suite.mjs';
import { until } from '../lib/wait.mjs';

// The SDK has no setting for it: the certificate is of the server's own authority.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';

const things = suite('service');
const service = () => new RoomServiceClient(things.server.url, API_KEY, API_SECRET);

/** Two people, of whom the first one is seen and heard by the second. */
async function call() {
  const room = things.newRoom();
  const [ann, bob] = await Promise.all(['ann', 'bob'].map((name) => things.clients.join('chromium', room, name)));
  await ann.publish({ camera: true, microphone: true });
  await Promise.all([bob.seesMoving('ann'), bob.hears('ann')]);
  return { rooms: service(), room, ann, bob };
}

/** The track of a source, as the server tells it. */
async function trackOf(rooms, room, identity, name) {
  const { tracks } = await rooms.getParticipant(room, identity);
  return tracks.find(({ mimeType }) => mimeType.toLowerCase().startsWith(name));
}

describe('an application', { skip: missing('chromium') }, () => {
  test('a room that was made for it is not found, or found by too many', async () => {
    const room = things.newRoom();
    const rooms = service();
    const made = await rooms.createRoom({ name: room, emptyTimeout: 300, maxParticipants: 1, metadata: 'agenda' });
    assert.match(made.sid, /^RM_/);
    await things.clients.join('chromium', room, 'ann');
    await until('the room counts ann', async () => (await rooms.listRooms([room]))[0]?.numParticipants === 1);
    await assert.rejects(things.clients.join('chromium', room, 'bob'), 'a second one fits into a room for one');
    const [{ sid, metadata, maxParticipants }] = await rooms.listRooms([room]);
    assert.deepEqual({ sid, metadata, maxParticipants }, { sid: made.sid, metadata: 'agenda', maxParticipants: 1 });
  });

  test('people in a call do not notice what a moderator does', async () => {
    const { rooms, room, ann, bob } = await call();
    const people = (await rooms.listParticipants(room)).map(({ identity }) => identity).sort();
    assert.deepEqual(people, ['ann', 'bob']);

    await rooms.sendData(room, new TextEncoder().encode('the end is near'), DataPacket_Kind.RELIABLE, {
      topic: 'news', destinationIdentities: ['bob'],
    });
    const news = await until('bob gets the message', async () => (await bob.snapshot()).data[0]);
    assert.deepEqual([news.text, news.topic], ['the end is near', 'news']);
    assert.deepEqual((await ann.snapshot()).data, [], 'ann reads what is for bob');

    const camera = await trackOf(rooms, room, 'ann', 'video');
    await rooms.updateSubscriptions(room, 'bob', [camera.sid], false);
    await until('bob loses the picture', async () => !(await bob.track('ann', 'camera')).frames);
    await rooms.updateSubscriptions(room, 'bob', [camera.sid], true);
    await bob.seesMoving('ann');

    const microphone = await trackOf(rooms, room, 'ann', 'audio');
    await rooms.mutePublishedTrack(room, 'ann', microphone.sid, true);
    await until('ann is muted for bob', async () => (await bob.track('ann', 'microphone')).muted);

    await rooms.updateParticipant(room, 'ann', { metadata: 'tired' });
    await until('bob knows', async () => (await bob.snapshot()).participants.ann?.metadata === 'tired');
  });

  test('somebody who was sent away stays, or a room that was ended goes on', async () => {
    const { rooms, room, ann, bob } = await call();
    await rooms.removeParticipant(room, 'ann');
    await until('ann has to go', async () => (await ann.snapshot()).disconnected);
    await until('ann is gone for bob', async () => !(await bob.snapshot()).participants.ann);
    await rooms.deleteRoom(room);
    await until('bob has to go', async () => (await bob.snapshot()).disconnected);
    assert.deepEqual(await rooms.listRooms([room]), []);
    await assert.rejects(rooms.getParticipant(room, 'bob'), { code: 'not_found' });
  });
});
