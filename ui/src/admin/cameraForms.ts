import type {
  CameraEntry,
  CameraFindings,
  CameraSettings,
  CameraSound,
  CameraStream,
  CameraVideo,
} from '../api/cameraTypes.ts';
import type { Tone } from './StateTag.tsx';

/** What the form for a camera holds: texts, as they are typed. */
export type CameraForm = {
  address: string;
  user: string;
  /** Empty is the one that is kept, if there is one. */
  password: string;
  name: string;
  room: string;
  sub: string;
  udp: boolean;
  audio: boolean;
  alwaysOn: boolean;
  pins: string;
};

export const FIRST_CAMERA: CameraForm = {
  address: '',
  user: '',
  password: '',
  name: '',
  room: '',
  sub: '',
  udp: false,
  audio: true,
  alwaysOn: false,
  pins: '',
};

/** The form for a camera that is set. */
export function formOf(entry: CameraEntry): CameraForm {
  return {
    address: entry.main.address,
    user: entry.main.user ?? '',
    password: '',
    name: entry.name,
    room: entry.room,
    sub: entry.sub?.address ?? '',
    udp: entry.transport === 'udp',
    audio: entry.audio,
    alwaysOn: entry.alwaysOn,
    pins: entry.pins.join(', '),
  };
}

type Read<T> = { ok: true; value: T } | { ok: false; problem: string };

/** Turns the form into the request, or says what is wrong with it. */
export function readCameraForm(form: CameraForm, entry: CameraEntry | null): Read<CameraSettings> {
  const stream = readStream(form, entry);
  if (!stream.ok) return stream;
  const name = form.name.trim();
  const room = form.room.trim();
  if (name === '') return { ok: false, problem: 'Give the camera a name.' };
  if ([...name].length > 64) return { ok: false, problem: 'The name is too long.' };
  if (room === '') return { ok: false, problem: 'Say in which room it is to be seen.' };
  const sub = form.sub.trim();
  return {
    ok: true,
    value: {
      name,
      room,
      main: stream.value,
      sub: sub === '' ? null : { address: sub, user: null, password: null },
      transport: form.udp ? 'udp' : 'tcp',
      audio: form.audio,
      alwaysOn: form.alwaysOn,
      pins: pinsOf(form.pins),
    },
  };
}

/** What a test needs to know: the camera has no name and no room yet. */
export function readStream(form: CameraForm, entry: CameraEntry | null): Read<CameraStream> {
  const { user: inAddress, password: secret, address } = splitAddress(form.address.trim());
  if (address === '') return { ok: false, problem: 'Enter the camera’s address.' };
  if (!/^rtsps?:\/\/./i.test(address)) {
    return { ok: false, problem: 'A camera’s address begins with rtsp:// or rtsps://.' };
  }
  const user = inAddress ?? form.user.trim();
  const password = secret ?? form.password;
  // Nobody's name says that there is to be none any more.
  const none = entry === null || entry.main.user === null ? null : '';
  return {
    ok: true,
    value: {
      address,
      user: user === '' && password === '' ? none : user,
      password: password === '' ? null : password,
    },
  };
}

export function pinsOf(text: string): string[] {
  return text
    .split(/[\s,]+/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** Takes user and password out of an address, so that nobody reads them over a shoulder. */
export function splitAddress(text: string): {
  address: string;
  user: string | null;
  password: string | null;
} {
  // All that is before the last @ of the authority; a path may hold an @ of its own.
  const parts = /^([a-z]+:\/\/)([^/?]*)@(.*)$/i.exec(text);
  if (parts === null) return { address: text, user: null, password: null };
  const [, scheme = '', who = '', rest = ''] = parts;
  const colon = who.indexOf(':');
  const user = colon < 0 ? who : who.slice(0, colon);
  return {
    address: scheme + rest,
    user: decoded(user),
    password: colon < 0 ? null : decoded(who.slice(colon + 1)),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** How a camera stands, in a word or two. */
export function cameraStateText(entry: CameraEntry): { text: string; tone: Tone } {
  if (entry.fingerprint !== null) return { text: 'Needs your confirmation', tone: 'bad' };
  switch (entry.state) {
    case 'live':
      return { text: 'Live', tone: 'good' };
    case 'connecting':
      return { text: 'Connecting', tone: 'wait' };
    case 'reconnecting':
      return { text: 'Reconnecting', tone: 'wait' };
    case 'idle':
      return { text: 'Idle: nobody watches', tone: 'wait' };
    case 'refused':
      return { text: 'Refused', tone: 'bad' };
  }
}

/** `1920 × 1080 · H264 High`. */
export function videoText(video: CameraVideo): string {
  return `${video.width} × ${video.height} · ${video.codec} ${video.profile}`.trim();
}

export function soundText(sound: CameraSound | null): string {
  return sound === null ? 'no sound' : `sound ${sound.source}`;
}

export function bitrateText(bitsPerSecond: number): string {
  if (bitsPerSecond >= 1_000_000) return `${(bitsPerSecond / 1_000_000).toFixed(1)} Mbit/s`;
  return `${Math.round(bitsPerSecond / 1000)} kbit/s`;
}

/** What a test has found, as names and values. */
export function findingsText(found: CameraFindings): { name: string; value: string }[] {
  const interval = found.keyFrameIntervalMs;
  return [
    { name: 'Picture', value: videoText(found.video) },
    {
      name: 'Frame rate',
      value: found.frameRate === null ? 'too few pictures' : `${found.frameRate.toFixed(1)} per s`,
    },
    {
      name: 'Key frames',
      value: interval === null ? 'only one was seen' : `every ${(interval / 1000).toFixed(1)} s`,
    },
    {
      name: 'Bitrate',
      value: found.frameRate === null ? 'too few pictures' : bitrateText(found.bitrate),
    },
    { name: 'Sound', value: found.sound === null ? 'none' : found.sound.source },
    { name: 'First picture', value: `after ${found.firstPictureMs} ms` },
  ];
}
