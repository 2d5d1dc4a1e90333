// A call whose participants the SDK makes up, to look at the call without a server:
// /mock/room.html?people=5&state=reconnecting&video=off
import {
  ConnectionState,
  type Participant,
  ParticipantEvent,
  RoomEvent,
  SubscriptionError,
  Track,
} from 'livekit-client';
import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import { loadChoices } from '../src/lobby/choices.ts';
import type { Call, CallState } from '../src/room/call.ts';
import { createRoom } from '../src/room/createRoom.ts';
import RoomPage from '../src/room/RoomPage.tsx';
import '../src/styles/base.css';
import '../src/styles/pieces.css';
import '../src/styles/pages.css';

// The SDK's made-up tracks need a receiver, which a page cannot make.
class Receiver {
  getStats = async () => new Map();
}
Object.assign(globalThis, { RTCRtpReceiver: Receiver });

const query = new URLSearchParams(location.search);
const people = Number(query.get('people') ?? '5');
const video = query.get('video') !== 'off';
const NAMES = ['Ada Lovelace', 'Grace Hopper', 'Alan Turing', 'Front door', 'Hedy Lamarr'];

const room = createRoom(loadChoices());
const state: CallState = { kind: query.get('state') === 'connecting' ? 'connecting' : 'connected' };
const call = {
  room,
  grant: { prefix: '', token: '', room: 'Workshop', identity: 'me', canPublish: true },
  unsent: [],
  subscribe: () => () => undefined,
  getState: () => state,
  leave: () => undefined,
  attach: () => undefined,
  detach: () => undefined,
} as unknown as Call;

function Mock() {
  const [choices, setChoices] = useState(loadChoices);
  return (
    <RoomPage
      call={call}
      choices={choices}
      onChange={(changed) => setChoices({ ...choices, ...changed })}
      onLeave={() => undefined}
    />
  );
}

const root = document.getElementById('root');
if (root !== null) createRoot(root).render(<Mock />);

await room.simulateParticipants({
  participants: { count: people, video, audio: true },
  publish: { audio: true, video, useRealTracks: true },
});
[...room.remoteParticipants.values()].forEach((participant, index) => {
  setName(participant, NAMES[index % NAMES.length] ?? '');
  if (index % 3 === 1) {
    for (const publication of participant.videoTrackPublications.values()) {
      // @ts-expect-error: no server mutes it here, so reach into the SDK
      publication.metadataMuted = true;
    }
    // @ts-expect-error: see above
    participant.emit(ParticipantEvent.TrackMuted, [...participant.trackPublications.values()][0]);
  }
});
setName(room.localParticipant, 'Katherine Johnson');
const camera = [...room.remoteParticipants.values()].find((it) => it.name === 'Front door');
if (camera !== undefined && query.get('camera') !== null) {
  // As the server says it: /mock/room.html?camera=reconnecting
  const attributes = {
    'umbrella.camera.state': query.get('camera') ?? '',
    'umbrella.camera.why': 'the camera refuses this user and password',
    'umbrella.camera.retry': String(Math.floor(Date.now() / 1000) + 17),
  };
  // @ts-expect-error: no server says it here, so reach into the SDK
  camera._setAttributes(attributes);
  camera.emit(ParticipantEvent.AttributesChanged, attributes);
}
// The SDK's made-up tracks come a little later.
await new Promise((resolve) => setTimeout(resolve, 500));
for (const name of (query.get('unplayable') ?? '').split(',')) {
  // A codec without a decoder: /mock/room.html?camera=idle&unplayable=Front door,Ada Lovelace
  const participant = [...room.remoteParticipants.values()].find((it) => it.name === name);
  const publication = participant?.getTrackPublication(Track.Source.Camera);
  if (participant === undefined || publication === undefined) continue;
  publication.mimeType = participant === camera ? 'video/H265' : 'video/AV1';
  publication.setTrack(undefined);
  const reason = SubscriptionError.SE_CODEC_UNSUPPORTED;
  room.emit(RoomEvent.TrackSubscriptionFailed, publication.trackSid, participant, reason);
}
const speaker = [...room.remoteParticipants.values()][0];
if (speaker !== undefined) speaker.setIsSpeaking(true);
if (query.get('state') === 'reconnecting') {
  room.state = ConnectionState.Reconnecting;
  room.emit(RoomEvent.ConnectionStateChanged, ConnectionState.Reconnecting);
}

function setName(participant: Participant, name: string): void {
  participant.name = name;
  participant.emit(ParticipantEvent.ParticipantNameChanged, name);
}
