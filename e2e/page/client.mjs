// A client inside a browser, driven by the tests through `window.client`. The native clients in
// ../native have the same methods and the same snapshot.

import { ExternalE2EEKeyProvider, Room, RoomEvent, Track, VideoQuality } from 'livekit-client';
import { beat, colours } from './measure.mjs';

const SOURCES = {
  camera: Track.Source.Camera,
  microphone: Track.Source.Microphone,
  screen_share: Track.Source.ScreenShare,
};

/** How often `watch` looks, in milliseconds. */
const WATCH_MS = 50;

/** A sound track that never pauses. */
function tone() {
  const context = new AudioContext();
  const oscillator = new OscillatorNode(context, { frequency: 440 });
  const destination = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
  oscillator.connect(new GainNode(context, { gain: 0.5 })).connect(destination);
  oscillator.start();
  void context.resume();
  return destination.stream.getAudioTracks()[0];
}

/**
 * Reaches the server's media at other addresses than it says, `through` from its own to others, as
 * behind a router with forwarded ports. Candidates without another address are left out, or the
 * way would be found that leads past the cable.
 */
function reroute(through) {
  const original = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function setRemoteDescription({ type, sdp }) {
    const lines = sdp.split('\r\n').flatMap((line) => {
      if (!line.startsWith('a=candidate:')) return [line];
      const fields = line.split(' ');
      const other = fields[2].toLowerCase() === 'udp' && through[`${fields[4]}:${fields[5]}`];
      if (!other) return [];
      [fields[4], fields[5]] = other.split(':');
      return [fields.join(' ')];
    });
    return original.call(this, { type, sdp: lines.join('\r\n') });
  };
}

/** Makes a browser that cannot receive a codec, such as `AV1`, over connections on which it offers. */
function forget(codec) {
  const original = RTCPeerConnection.prototype.addTransceiver;
  RTCPeerConnection.prototype.addTransceiver = function addTransceiver(what, init) {
    const transceiver = original.call(this, what, init);
    if (what === 'video' && init?.direction === 'recvonly') {
      const known = RTCRtpReceiver.getCapabilities('video').codecs;
      transceiver.setCodecPreferences(known.filter(({ mimeType }) => mimeType !== `video/${codec}`));
    }
    return transceiver;
  };
}

/**
 * Lets out the events that the SDK holds back for two seconds after it has said that it is back from
 * a server's restart, and then never emits (livekit-client 2.23): tracks that come meanwhile.
 */
function releaseHeldEvents(room) {
  const timer = setInterval(() => {
    if (room.engine?.pendingReconnect) return;
    clearInterval(timer);
    room.emitBufferedEvents();
  }, 100);
}

class Client {
  events = { data: [], chat: [], spoke: new Set(), disconnected: null, left: [], reconnected: 0 };
  screens = [];

  async connect({ url, token, single = true, adaptive = false, autoSubscribe = true, dynacast = false, passphrase, through, without }) {
    if (through) reroute(through);
    if (without) forget(without);
    const encryption = passphrase && { keyProvider: new ExternalE2EEKeyProvider(), worker: new Worker('/e2ee.worker.js', { type: 'module' }) };
    this.room = new Room({ singlePeerConnection: single, adaptiveStream: adaptive, dynacast, ...(encryption ? { encryption } : {}) });
    this.listen();
    if (encryption) {
      await encryption.keyProvider.setKey(passphrase);
      await this.room.setE2EEEnabled(true);
    }
    const start = performance.now();
    await this.room.connect(url, token, { autoSubscribe });
    this.connectedMs = performance.now() - start;
    this.start = start;
    return { ms: this.connectedMs };
  }

  listen() {
    const { room, events } = this;
    room.on(RoomEvent.TrackSubscribed, (track, _publication, participant) => this.attach(track, participant));
    room.on(RoomEvent.TrackUnsubscribed, (track) => track.detach().forEach((element) => element.remove()));
    room.on(RoomEvent.DataReceived, (payload, participant, _kind, topic) => {
      events.data.push({ from: participant?.identity, text: new TextDecoder().decode(payload), topic });
    });
    room.on(RoomEvent.ActiveSpeakersChanged, (all) => all.forEach(({ identity }) => events.spoke.add(identity)));
    room.on(RoomEvent.Disconnected, (reason) => { events.disconnected = reason ?? 'unknown'; });
    room.on(RoomEvent.Reconnected, () => {
      events.reconnected += 1;
      releaseHeldEvents(room);
    });
    room.on(RoomEvent.ParticipantDisconnected, ({ identity }) => events.left.push(identity));
    room.registerTextStreamHandler('lk.chat', async (reader, { identity }) => {
      events.chat.push({ from: identity, text: await reader.readAll() });
    });
    room.registerRpcMethod('echo', async ({ callerIdentity, payload }) => `${callerIdentity}:${payload}`);
  }

  attach(track, { identity }) {
    const element = track.attach();
    element.dataset.track = `${identity}/${track.source}`;
    element.style.width = '320px';
    document.body.append(element);
    if (track.kind === 'video') {
      element.requestVideoFrameCallback?.((now) => {
        this.firstFrameMs ??= now - this.start;
        this.onFrame?.(now);
      });
    }
  }

  async publish({ camera = false, busy = false, microphone = false, width = 640, height = 360, frameRate = 20, simulcast = false, codec = 'vp8', backup = false, maxBitrate, red = true }) {
    const { localParticipant } = this.room;
    const options = { simulcast, videoCodec: codec, backupCodec: backup && { codec: backup } };
    if (maxBitrate) options.videoEncoding = { maxBitrate, maxFramerate: frameRate };
    const wait = [];
    if (camera && busy) {
      const track = busyPicture(width, height, frameRate);
      wait.push(localParticipant.publishTrack(track, { source: Track.Source.Camera, ...options }));
    } else if (camera) {
      const resolution = { width, height, frameRate };
      wait.push(localParticipant.setCameraEnabled(true, { resolution }, options));
    }
    // A steady tone: Chromium's fake microphone beeps for some milliseconds only, which nobody
    // would call speaking. Firefox's hums all the time, and its audio context needs a sound card.
    if (microphone && navigator.userAgent.includes('Firefox')) {
      wait.push(localParticipant.setMicrophoneEnabled(true, { echoCancellation: false }));
    } else if (microphone) {
      wait.push(localParticipant.publishTrack(tone(), { source: Track.Source.Microphone, dtx: false, red }));
    }
    await Promise.all(wait);
  }

  /** Shares a screen: the real way where the browser can be told to accept, else a canvas. */
  async publishScreen({ real = false } = {}) {
    const { localParticipant } = this.room;
    if (real) {
      await localParticipant.setScreenShareEnabled(true, { audio: false });
      return;
    }
    const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
    const context = canvas.getContext('2d');
    let hue = 0;
    this.screens.push(setInterval(() => {
      hue = (hue + 5) % 360;
      context.fillStyle = `hsl(${hue} 80% 50%)`;
      context.fillRect(0, 0, 640, 360);
    }, 66));
    const [track] = canvas.captureStream(15).getVideoTracks();
    await localParticipant.publishTrack(track, { source: Track.Source.ScreenShare, simulcast: false });
  }

  async sendData({ text, topic = 'test', reliable = true, to = [] }) {
    const payload = new TextEncoder().encode(text);
    await this.room.localParticipant.publishData(payload, { topic, reliable, destinationIdentities: to });
  }

  async sendChat({ text }) {
    await this.room.localParticipant.sendText(text, { topic: 'lk.chat' });
  }

  async rpc({ to, payload }) {
    return this.room.localParticipant.performRpc({ destinationIdentity: to, method: 'echo', payload });
  }

  async update({ metadata, attributes, name }) {
    const { localParticipant } = this.room;
    if (metadata !== undefined) await localParticipant.setMetadata(metadata);
    if (attributes !== undefined) await localParticipant.setAttributes(attributes);
    if (name !== undefined) await localParticipant.setName(name);
  }

  async mute({ source, muted }) {
    const publication = this.room.localParticipant.getTrackPublication(SOURCES[source]);
    await (muted ? publication.mute() : publication.unmute());
  }

  async subscribe({ identity, source, on }) {
    this.publication(identity, source).setSubscribed(on);
  }

  async quality({ identity, source, quality }) {
    this.publication(identity, source).setVideoQuality(VideoQuality[quality]);
  }

  async enable({ identity, source, on }) {
    this.publication(identity, source).setEnabled(on);
  }

  /** Whom this client lets have its tracks: everybody, or these identities alone. */
  async allow({ everybody = false, identities = [] }) {
    const list = identities.map((participantIdentity) => ({ participantIdentity, allowAll: true }));
    this.room.localParticipant.setTrackSubscriptionPermissions(everybody, list);
  }

  /** What somebody's picture shows at some points: see `colours`. */
  async colours({ identity, source, points }) {
    return colours(elementOf(identity, source), points);
  }

  /** When somebody's ticks are heard and flashes are seen: see `beat`. */
  async beat({ identity, seconds }) {
    const sound = this.publication(identity, 'microphone').track.mediaStreamTrack;
    return beat(elementOf(identity, 'camera'), sound, seconds);
  }

  /** Subscribes to somebody's picture; milliseconds until the first one is there. */
  async firstPicture({ identity, source }) {
    const start = performance.now();
    const shown = new Promise((resolve) => { this.onFrame = resolve; });
    this.publication(identity, source).setSubscribed(true);
    return (await shown) - start;
  }

  publication(identity, source) {
    return this.room.remoteParticipants.get(identity).getTrackPublication(SOURCES[source]);
  }

  /** Gives somebody's picture a size in CSS pixels; 0 hides it. */
  async resize({ identity, source, width }) {
    const element = elementOf(identity, source);
    element.style.display = width ? 'block' : 'none';
    element.style.width = `${width}px`;
  }

  async disconnect() {
    this.screens.forEach(clearInterval);
    await this.room?.disconnect();
  }

  /** What this client sees now. */
  async snapshot() {
    const { room, events } = this;
    const participants = {};
    for (const participant of room.remoteParticipants.values()) {
      participants[participant.identity] = await describe(participant);
    }
    return {
      state: room.state,
      sid: room.localParticipant.sid,
      identity: room.localParticipant.identity,
      firstFrameMs: this.firstFrameMs ?? null,
      participants,
      ...events,
      spoke: [...events.spoke],
      paths: await this.paths(),
    };
  }

  /**
   * Counts for `seconds` what comes of one of somebody's tracks, or what goes of one's own without
   * an `identity`: what was counted meanwhile, and `pictures`, pairs of a time in milliseconds and
   * how many there had been by then.
   */
  async watch({ identity, source, seconds }) {
    const own = this.room.localParticipant;
    const { track } = identity ? this.publication(identity, source) : own.getTrackPublication(SOURCES[source]);
    const look = () => counters(track, identity ? 'inbound-rtp' : 'outbound-rtp');
    const first = await look();
    let last = first;
    const pictures = [];
    while (last.timestamp < first.timestamp + seconds * 1000) {
      await new Promise((resolve) => setTimeout(resolve, WATCH_MS));
      last = await look();
      pictures.push([last.timestamp, last.framesDecoded ?? last.framesEncoded]);
    }
    const counted = Object.entries(last).map(([name, value]) => [name, value - (first[name] ?? 0)]);
    return { ...Object.fromEntries(counted), pictures };
  }

  /** The heights of the layers of an own track that are sent now, the lowest first. */
  async sends({ source }) {
    const { track } = this.room.localParticipant.getTrackPublication(SOURCES[source]);
    const streams = [...(await track.getRTCStatsReport()).values()].filter(({ type }) => type === 'outbound-rtp');
    const sent = streams.filter(({ active, framesPerSecond }) => active && framesPerSecond > 0);
    return sent.map(({ frameHeight }) => frameHeight).sort((a, b) => a - b);
  }

  /**
   * How media flows, for each peer connection in use: `udp` or `tcp`, or `relay-` and how the relay
   * is reached.
   */
  async paths() {
    const manager = this.room.engine.pcManager;
    const found = [];
    for (const transport of [manager?.publisher, manager?.subscriber]) {
      const report = await transport?.getStats?.();
      for (const stat of report?.values() ?? []) {
        if (stat.type === 'candidate-pair' && stat.nominated && stat.state === 'succeeded' && stat.bytesReceived > 0) {
          const { candidateType, protocol, relayProtocol } = report.get(stat.localCandidateId) ?? {};
          found.push(candidateType === 'relay' ? `relay-${relayProtocol}` : protocol);
        }
      }
    }
    return found;
  }
}

/**
 * A picture that costs as much as that of a camera that is held in a hand: all of it moves, and a
 * part is always new. A browser's own test picture is too simple.
 */
function busyPicture(width, height, frameRate) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d', { alpha: false });
  const grain = Object.assign(document.createElement('canvas'), { width: 96, height: 54 });
  const sketch = grain.getContext('2d');
  const scribble = (x, y, across, down) => {
    const pixels = sketch.createImageData(across, down);
    for (let at = 0; at < pixels.data.length; at += 1) pixels.data[at] = at % 4 === 3 ? 255 : Math.random() * 255;
    sketch.putImageData(pixels, x, y);
  };
  scribble(0, 0, 96, 54);
  let step = 0;
  setInterval(() => {
    step += 1;
    scribble(40, 20, 24, 14);
    const [x, y] = [Math.sin(step / 15), Math.cos(step / 20)].map((turn) => turn * 30 - 30);
    context.drawImage(grain, x, y, width + 60, height + 60);
  }, 1000 / frameRate);
  return canvas.captureStream(frameRate).getVideoTracks()[0];
}

async function describe(participant) {
  const tracks = {};
  for (const publication of participant.trackPublications.values()) {
    tracks[publication.source] = {
      kind: publication.kind,
      muted: publication.isMuted,
      announced: publication.mimeType ?? '',
      paused: publication.track?.streamState === Track.StreamState.Paused,
      subscribed: publication.isSubscribed,
      allowed: publication.permissionStatus === 'allowed',
      ...(publication.track ? await received(publication.track) : {}),
      ...(publication.kind === 'video' ? { drawn: isDrawn(participant.identity, publication.source) } : {}),
    };
  }
  const { name, metadata, attributes, connectionQuality: quality } = participant;
  return { quality, name, metadata, attributes: { ...attributes }, tracks };
}

/** Whether an element has had a picture of a track: a decoder may have some of which none gets there. */
function isDrawn(identity, source) {
  const element = elementOf(identity, source);
  return element !== null && element.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
}

/** What shows or plays somebody's track: the latest, as those that are detached may be left. */
function elementOf(identity, source) {
  return [...document.querySelectorAll(`[data-track="${identity}/${source}"]`)].at(-1) ?? null;
}

async function received(track) {
  const report = await track.getRTCStatsReport();
  for (const stat of report?.values() ?? []) {
    if (stat.type !== 'inbound-rtp') continue;
    const codec = report.get(stat.codecId)?.mimeType ?? '';
    return {
      frames: stat.framesDecoded ?? 0,
      width: stat.frameWidth ?? 0,
      height: stat.frameHeight ?? 0,
      energy: stat.totalAudioEnergy ?? 0,
      packets: stat.packetsReceived ?? 0,
      keyFrames: stat.keyFramesDecoded ?? 0,
      freezes: stat.freezeCount ?? 0,
      lost: stat.packetsLost ?? 0,
      codec,
    };
  }
  return {};
}

/** The numbers that a track's first stream of this type has. */
async function counters(track, type) {
  for (const stat of (await track.getRTCStatsReport())?.values() ?? []) {
    if (stat.type === type) return Object.fromEntries(Object.entries(stat).filter(([, value]) => typeof value === 'number'));
  }
  throw new Error(`no ${type} in the statistics`);
}

window.client = new Client();
window.call = (method, params) => window.client[method](params);
