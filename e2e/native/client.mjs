// A client on the Node SDK, driven by JSON lines: {"id", "method", "params"} in, {"id", "result"}
// or {"id", "error"} out. Methods and snapshot are those of ../page/client.mjs. Ends with its input.

import { createInterface } from 'node:readline';
import {
  AudioFrame, AudioSource, AudioStream, dispose, LocalAudioTrack, LocalVideoTrack, Room, RoomEvent, TrackKind,
  TrackPublishOptions, TrackSource, VideoBufferType, VideoCodec, VideoFrame, VideoSource, VideoStream,
} from '@livekit/rtc-node';

const SOURCES = {
  camera: TrackSource.SOURCE_CAMERA,
  microphone: TrackSource.SOURCE_MICROPHONE,
  screen_share: TrackSource.SOURCE_SCREENSHARE,
};
const NAMES = Object.fromEntries(Object.entries(SOURCES).map(([name, number]) => [number, name]));
const RATE = 48_000;
const FRAME_MS = 66;

class Client {
  room = new Room();
  received = new Map();
  events = { data: [], chat: [], disconnected: null, left: [] };
  spoke = new Set();
  ended = false;

  async connect({ url, token, single = true, autoSubscribe = true }) {
    const { room, events } = this;
    room.on(RoomEvent.TrackSubscribed, (...all) => this.onTrack(...all));
    room.on(RoomEvent.DataReceived, (payload, participant, _kind, topic) => {
      events.data.push({ from: participant?.identity, text: new TextDecoder().decode(payload), topic });
    });
    room.on(RoomEvent.ActiveSpeakersChanged, (all) => all.forEach(({ identity }) => this.spoke.add(identity)));
    room.on(RoomEvent.Disconnected, (reason) => { events.disconnected = reason ?? 'unknown'; });
    room.on(RoomEvent.ParticipantDisconnected, ({ identity }) => events.left.push(identity));
    room.registerTextStreamHandler('lk.chat', async (reader, { identity }) => {
      events.chat.push({ from: identity, text: await reader.readAll() });
    });
    const start = performance.now();
    await room.connect(url, token, { autoSubscribe, dynacast: false, singlePeerConnection: single });
    room.localParticipant.registerRpcMethod('echo', async ({ callerIdentity, payload }) => `${callerIdentity}:${payload}`);
    return { ms: performance.now() - start };
  }

  onTrack(track, publication, { identity }) {
    const seen = { frames: 0, width: 0, height: 0, energy: 0 };
    this.received.set(`${identity}/${NAMES[publication.source]}`, seen);
    (track.kind === TrackKind.KIND_VIDEO ? watch : listen)(track, seen);
  }

  async publish({ camera = false, microphone = false, width = 640, height = 360, simulcast = false }) {
    if (camera) await this.publishVideo('camera', width, height, simulcast);
    if (!microphone) return;
    const source = new AudioSource(RATE, 1);
    const track = LocalAudioTrack.createAudioTrack('microphone', source);
    await this.publishTrack('microphone', track, new TrackPublishOptions());
    this.speak(source);
  }

  async publishScreen() {
    await this.publishVideo('screen_share', 640, 360, false);
  }

  async publishVideo(name, width, height, simulcast) {
    const source = new VideoSource(width, height);
    const track = LocalVideoTrack.createVideoTrack(name, source);
    await this.publishTrack(name, track, new TrackPublishOptions({ simulcast, videoCodec: VideoCodec.VP8 }));
    this.paint(source, width, height);
  }

  async publishTrack(name, track, options) {
    options.source = SOURCES[name];
    await this.room.localParticipant.publishTrack(track, options);
  }

  paint(source, width, height) {
    const picture = new Uint8Array((width * height * 3) / 2).fill(0x80);
    let count = 0;
    const timer = setInterval(() => {
      if (this.ended) {
        clearInterval(timer);
        return;
      }
      picture.fill(16 + ((count++ * 7) % 200), 0, width * height);
      source.captureFrame(new VideoFrame(picture, width, height, VideoBufferType.I420));
    }, FRAME_MS);
  }

  async speak(source) {
    const count = RATE / 100;
    for (let start = 0; !this.ended; start += count) {
      const frame = AudioFrame.create(RATE, 1, count);
      for (let i = 0; i < count; i++) frame.data[i] = 9000 * Math.sin((2 * Math.PI * 400 * (start + i)) / RATE);
      await source.captureFrame(frame);
    }
  }

  async sendData({ text, topic = 'test', reliable = true, to = [] }) {
    const payload = new TextEncoder().encode(text);
    await this.room.localParticipant.publishData(payload, { reliable, topic, destination_identities: to });
  }

  async sendChat({ text }) {
    await this.room.localParticipant.sendText(text, { topic: 'lk.chat' });
  }

  rpc({ to, payload }) {
    return this.room.localParticipant.performRpc({ destinationIdentity: to, method: 'echo', payload });
  }

  async update({ metadata, attributes, name }) {
    const me = this.room.localParticipant;
    if (metadata !== undefined) await me.updateMetadata(metadata);
    if (attributes !== undefined) await me.setAttributes(attributes);
    if (name !== undefined) await me.updateName(name);
  }

  async mute() {
    throw new Error('this SDK cannot mute its own tracks');
  }

  async subscribe({ identity, source, on }) {
    for (const publication of this.room.remoteParticipants.get(identity).trackPublications.values()) {
      if (NAMES[publication.source] === source) publication.setSubscribed(on);
    }
  }

  async disconnect() {
    this.ended = true;
    await this.room.disconnect();
  }

  async snapshot() {
    const participants = {};
    for (const person of this.room.remoteParticipants.values()) {
      participants[person.identity] = this.describe(person);
    }
    return {
      state: this.room.isConnected ? 'connected' : 'disconnected',
      identity: this.room.localParticipant?.identity,
      participants,
      spoke: [...this.spoke],
      ...this.events,
    };
  }

  describe(person) {
    const tracks = {};
    for (const publication of person.trackPublications.values()) {
      const source = NAMES[publication.source] ?? 'unknown';
      tracks[source] = {
        muted: publication.muted,
        subscribed: publication.subscribed,
        ...this.received.get(`${person.identity}/${source}`),
      };
    }
    return { name: person.name, metadata: person.metadata, attributes: { ...person.attributes }, tracks };
  }
}

async function watch(track, seen) {
  for await (const { frame } of new VideoStream(track)) {
    seen.frames++;
    seen.width = frame.width;
    seen.height = frame.height;
  }
}

async function listen(track, seen) {
  for await (const frame of new AudioStream(track, RATE, 1)) {
    let sum = 0;
    for (const sample of frame.data) sum += (sample / 32768) ** 2;
    const loudness = sum / Math.max(1, frame.data.length);
    seen.frames++;
    // Comfort noise and rounding are not sound.
    if (loudness > 1e-6) seen.energy += loudness;
  }
}

const client = new Client();

async function answer({ id, method, params }) {
  try {
    const result = (await client[method](params)) ?? null;
    process.stdout.write(`${JSON.stringify({ id, result })}\n`);
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ id, error: `${error.name}: ${error.message}` })}\n`);
  }
}

for await (const line of createInterface({ input: process.stdin })) answer(JSON.parse(line));
await client.disconnect().catch(() => {});
await dispose();
process.exit(0);
