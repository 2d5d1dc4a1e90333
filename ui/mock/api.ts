import type { CameraEntry, CameraTested } from '../src/api/cameraTypes.ts';
import type { AllowedServer, Nearby, TrunkEntry, TrunkOverview } from '../src/api/trunkTypes.ts';
import type {
  AdminSession,
  ApiKey,
  Invite,
  ParticipantDetail,
  Role,
  RoomDetail,
  RoomSummary,
  Status,
  TrackDetail,
} from '../src/api/types.ts';
import { topology } from './topology.ts';

/** What the mock says to one call. */
export type Answer = { status: number; body?: unknown };

type Body = Record<string, unknown>;

/** Makes ids of cameras. */
let cameraIds = 0;

/** Makes keys of servers. */
let servers = 0;

const now = Math.floor(Date.now() / 1000);

const state = {
  signedIn: false,
  passwordSet: true,
  rooms: [room('Workshop', 3, 2), room('Family', 0, 0), room('Staff meeting on Tuesday', 12, 5)],
  invites: [
    invite('1', 'Workshop', 'talk', now + 7200, 3),
    invite('2', 'Family', 'moderate', null, null, []),
    invite('3', 'Staff meeting on Tuesday', 'watch', now + 86_400 * 6, null),
    invite('4', 'Workshop', 'watch', null, null, ['CA_1', 'CA_3', 'CA_gone']),
  ] as Invite[],
  trunks: {
    node: 'ND_hq2mvW9aTqLr1xW8',
    name: 'workshop',
    media: true,
    fingerprint: Array(32).fill('3F').join(':'),
    entries: [
      trunk('https://cloud.example.org/umbrella', 'connected'),
      trunk('https://school.example.org', 'connecting'),
      trunk('https://clinic.example.org:8443', 'refused'),
      trunk('http://192.168.7.1:8081', 'reconnecting'),
      trunk('https://barn.local:8081', 'confirm'),
    ],
    allowed: [allowedServer('Hut in the mountains', true), allowedServer('Boat', false)],
    refusals: [
      {
        at: now - 60,
        address: '203.0.113.7',
        name: null,
        why: 'the join secret was not made here, or was revoked',
      },
    ],
  } as TrunkOverview,
  cameras: [
    security('Front door', 'live'),
    security('Barn', 'idle'),
    security('Gate at the far end of the yard', 'reconnecting'),
    security('Cellar', 'refused'),
    security('Garage', 'connecting'),
  ] as CameraEntry[],
  keys: [
    { key: 'APIhq2mvW9', note: 'from configuration', createdAt: now - 86_400, configured: true },
    { key: 'APIx81Lq0a', note: 'Home automation', createdAt: now - 3600, configured: false },
  ] as ApiKey[],
};

/** The whole API, as far as looking at the page needs it. */
export function answer(method: string, path: string, body: Body): Answer {
  const parts = path.split('/').filter((part) => part !== '');
  const [area, second, third] = parts;
  switch (`${method} ${area}`) {
    case 'GET session':
      return ok(session());
    case 'POST login':
      if (body.password !== 'umbrella')
        return fail(401, 'unauthorized', 'This is not the password.');
      state.signedIn = true;
      return ok(session());
    case 'POST setup':
      if (second === 'old') return fail(404, 'not_found', 'This link has been used.');
      state.signedIn = true;
      return ok(session());
    case 'POST logout':
      state.signedIn = false;
      return { status: 204 };
    case 'GET invite':
      return inviteInfo(second ?? '');
    case 'POST invite':
      return ok(grant(String(second), String(body.name)));
  }
  if (area !== 'admin') return fail(404, 'not_found', 'No such call.');
  if (!state.signedIn) return fail(401, 'unauthorized', 'Please sign in.');
  return admin(method, second ?? '', third, parts.slice(3), body);
}

function admin(
  method: string,
  area: string,
  id: string | undefined,
  rest: string[],
  body: Body,
): Answer {
  if (area === 'status') return ok(status());
  if (area === 'rooms') return rooms(method, id, rest, body);
  if (area === 'invites') {
    if (method === 'GET') return ok(state.invites);
    if (method === 'DELETE') {
      state.invites = state.invites.filter((item) => item.id !== id);
      return { status: 204 };
    }
    const expires = body.expiresInS === null ? null : now + Number(body.expiresInS);
    const made = invite(
      String(state.invites.length + 1),
      String(body.room),
      body.role as Role,
      expires,
      body.uses as number | null,
      body.cameras as string[] | null,
    );
    state.invites.push(made);
    const path = '/sfu#/join/Zk3nD0c9-TqLr1xW8vYb2A';
    return ok({
      invite: made,
      path,
      urls: [
        `https://localhost:8081${path}`,
        `https://192.168.1.5:8081${path}`,
        `https://workshop.local:8081${path}`,
      ],
    });
  }
  if (area === 'topology') return ok(topology);
  if (area === 'cameras') return cameras(method, id, rest, body);
  if (area === 'trunks') return trunks(method, id, rest, body);
  if (area === 'keys') {
    if (method === 'GET') return ok(state.keys);
    if (method === 'DELETE') {
      state.keys = state.keys.filter((item) => item.key !== id);
      return { status: 204 };
    }
    const key = { key: 'APInew0001', note: String(body.note), createdAt: now, configured: false };
    state.keys.push(key);
    return ok({ key, secret: 'mock-secret-not-a-real-one-0123456789abcdef' });
  }
  return fail(404, 'not_found', 'No such call.');
}

function cameras(method: string, id: string | undefined, rest: string[], body: Body): Answer {
  if (method === 'GET') return ok(state.cameras);
  if (method === 'DELETE') {
    state.cameras = state.cameras.filter((entry) => entry.id !== id);
    return { status: 204 };
  }
  if (id === 'test') return ok(tested(String((body.stream as Body).address)));
  if (id === 'import') {
    const skipped = [{ name: 'usb', why: 'its source is ffmpeg:, and only rtsp:// is taken' }];
    return ok({ added: ['porch', 'garden'], skipped });
  }
  if (rest.length > 0) return { status: 204 };
  const before = state.cameras.find((entry) => entry.id === id);
  const entry = { ...(before ?? security('', 'idle')), name: String(body.name) };
  entry.room = String(body.room);
  if (before === undefined) state.cameras.push(entry);
  else state.cameras = state.cameras.map((other) => (other.id === id ? entry : other));
  return ok(entry);
}

function security(name: string, how: CameraEntry['state']): CameraEntry {
  cameraIds += 1;
  const live = how === 'live';
  const waits = how === 'refused' || how === 'reconnecting';
  return {
    id: `CA_${cameraIds}`,
    name,
    room: 'Workshop',
    main: {
      address: `rtsp://192.168.1.${20 + cameraIds}/stream1`,
      user: 'admin',
      hasPassword: true,
    },
    sub: live ? { address: 'rtsp://192.168.1.21/stream2', user: null, hasPassword: false } : null,
    transport: 'tcp',
    audio: true,
    alwaysOn: live,
    pins: [],
    configured: how === 'connecting',
    state: how,
    why:
      how === 'refused'
        ? 'the camera refuses this user and password; some cameras have another one for RTSP'
        : how === 'reconnecting'
          ? 'the camera cannot be reached (No route to host); is it switched on and in this network?'
          : null,
    retryInS: waits ? 17 : null,
    fingerprint: null,
    video: live ? { codec: 'H264', profile: 'High', width: 2560, height: 1440 } : null,
    sound: live ? { codec: 'opus', source: 'AAC, 16000 Hz, mono' } : null,
    notes: live
      ? [
          'the camera may send B-frames, which browsers do not show well; switch them off if the picture jerks',
        ]
      : [],
    watched: live,
    bitrate: live ? 3_400_000 : 0,
    cachedBytes: live ? 1_200_000 : 0,
  };
}

function tested(address: string): CameraTested {
  const secure = address.startsWith('rtsps');
  const why = "nobody vouches for the camera's certificate; confirm its fingerprint";
  if (secure) return { found: null, why, fingerprint: Array(32).fill('C4').join(':') };
  return {
    found: {
      video: { codec: 'H264', profile: 'Main', width: 1920, height: 1080 },
      sound: { codec: 'opus', source: 'AAC, 16000 Hz, mono' },
      notes: [],
      firstPictureMs: 412,
      frameRate: 24.98,
      keyFrameIntervalMs: 2000,
      bitrate: 2_100_000,
      still: null,
    },
    why: null,
    fingerprint: null,
  };
}

const NEARBY: Nearby = {
  listening: true,
  servers: [
    { node: 'ND_barn', name: 'barn', url: 'https://barn.local:8081', linked: false },
    { node: 'ND_boat', name: 'boat', url: 'https://boat.local:8081/umbrella', linked: true },
    {
      node: 'ND_long',
      name: 'The long house at the end of the road, first floor, left',
      url: 'https://the-long-house-at-the-end-of-the-road-first-floor-left.local:8443',
      linked: false,
    },
  ],
};

function trunks(method: string, id: string | undefined, rest: string[], body: Body): Answer {
  if (method === 'GET' && id === 'nearby') return ok(NEARBY);
  if (method === 'GET') return ok(state.trunks);
  if (method === 'DELETE') {
    const key = id === 'allowed' ? rest[0] : id;
    state.trunks.entries = state.trunks.entries.filter((entry) => entry.key !== key);
    state.trunks.allowed = state.trunks.allowed.filter((server) => server.key !== key);
    return { status: 204 };
  }
  if (id === 'allowed') {
    const server = allowedServer(String(body.name), false);
    state.trunks.allowed.push(server);
    const secret = 'umbrella-join-v1.mock-secret-not-a-real-one-0123456789abcdef0123456789abcdef';
    const urls = ['https://localhost:8081', 'https://192.168.1.5:8081', 'https://hut.local:8081'];
    return ok({ server, secret, urls });
  }
  if (rest.length > 0) return { status: 204 };
  const entry = trunk(String(body.url), 'connecting');
  state.trunks.entries.push(entry);
  return ok(entry);
}

function trunk(url: string, how: TrunkEntry['state']): TrunkEntry {
  const waits = how === 'refused' || how === 'reconnecting';
  return {
    key: url,
    url,
    rooms: how === 'connected' ? ['site-*', 'Workshop'] : [],
    moderate: true,
    insecure: url.startsWith('http:'),
    configured: how === 'connected',
    state: how,
    why:
      how === 'refused'
        ? 'the join secret is not accepted: it may be mistyped, revoked or expired; the operator of this server sees why'
        : how === 'reconnecting'
          ? 'connecting: Connection refused (os error 111)'
          : null,
    retryInS: waits ? 17 : null,
    fingerprint: how === 'confirm' ? Array(32).fill('A7').join(':') : null,
    neighbour: how === 'connected' ? neighbour('Cloud in Frankfurt') : null,
  };
}

function neighbour(name: string) {
  return {
    node: 'ND_x81Lq0a9',
    name,
    version: '0.1.0',
    media: true,
    rttMs: 23.4,
    since: now - 7300,
  };
}

function allowedServer(name: string, there: boolean): AllowedServer {
  servers += 1;
  return {
    key: `key${servers}`,
    name,
    rooms: [],
    moderate: there,
    expiresAt: now + 604_800,
    createdAt: now,
    joined: there,
    configured: false,
    connected: there ? [neighbour('Hut')] : [],
  };
}

function rooms(method: string, name: string | undefined, rest: string[], body: Body): Answer {
  if (name === undefined) {
    if (method === 'GET') return ok(state.rooms);
    if (state.rooms.some((item) => item.name === body.name)) {
      return fail(409, 'conflict', 'There is a room of this name.');
    }
    const made = room(String(body.name), 0, 0);
    state.rooms.push(made);
    return ok(made);
  }
  const found = state.rooms.find((item) => item.name === decodeURIComponent(name));
  if (found === undefined) return fail(404, 'not_found', 'There is no such room.');
  if (rest[0] === 'join') return ok(grant(found.name, String(body.name)));
  if (method === 'GET') return ok(detail(found));
  if (method === 'DELETE' && rest.length === 0) {
    state.rooms = state.rooms.filter((item) => item !== found);
  }
  return { status: 204 };
}

function ok(body: unknown): Answer {
  return { status: 200, body };
}

function fail(status: number, code: string, message: string): Answer {
  return { status, body: { code, message, retryAfterS: null } };
}

function session(): AdminSession {
  return {
    signedIn: state.signedIn,
    passwordSet: state.passwordSet,
    csrf: state.signedIn ? 'mock' : '',
    version: '0.1.0',
    serverName: 'Umbrella',
  };
}

function inviteInfo(token: string): Answer {
  if (token === 'expired') return fail(410, 'expired', 'This invite has expired.');
  return ok({
    room: 'Workshop',
    canPublish: token !== 'watch',
    canModerate: false,
    participants: 2,
    serverName: 'Umbrella',
  });
}

function grant(room: string, name: string) {
  return { prefix: '', token: 'mock', room, identity: name, canPublish: true, canModerate: true };
}

function room(name: string, participants: number, publishers: number): RoomSummary {
  return { name, permanent: true, participants, publishers, createdAt: now - 5000 };
}

function invite(
  id: string,
  roomName: string,
  role: Role,
  expiresAt: number | null,
  usesLeft: number | null,
  cameras: string[] | null = null,
): Invite {
  const createdAt = now - 600;
  return { id, room: roomName, role, expiresAt, usesLeft, uses: 1, cameras, createdAt };
}

function detail(summary: RoomSummary): RoomDetail {
  const names = ['Ada Lovelace', 'Grace Hopper', 'Front door camera', 'Alan Turing'];
  return {
    summary,
    participants: names.slice(0, Math.min(4, summary.participants)).map(participant),
  };
}

function participant(name: string, index: number): ParticipantDetail {
  return {
    identity: `guest-${index}`,
    name,
    state: index === 3 ? 'joined' : 'active',
    hidden: false,
    camera: index === 2,
    joinedAtMs: (now - 60 * (index + 1) * 7) * 1000,
    client: index === 2 ? 'rust 0.7.1' : 'js 2.23.0',
    protocol: index === 3 ? '' : 'udp',
    rttMs: index === 3 ? null : 12.4 * (index + 1),
    tracks: index === 3 ? [] : [microphone(index), camera(index)],
    subscriptions: 4 - index,
  };
}

function microphone(index: number): TrackDetail {
  return {
    id: `TR_mic${index}`,
    kind: 'audio',
    source: 'microphone',
    name: '',
    codec: 'audio/opus',
    muted: index === 1,
    layers: [{ width: 0, height: 0, bitrate: 32_000, lost: 3 }],
    subscribers: 2,
  };
}

function camera(index: number): TrackDetail {
  return {
    id: `TR_cam${index}`,
    kind: 'video',
    source: 'camera',
    name: '',
    codec: 'video/VP8',
    muted: false,
    layers: [
      { width: 320, height: 180, bitrate: 140_000, lost: 0 },
      { width: 640, height: 360, bitrate: 450_000, lost: 2 },
      { width: 1280, height: 720, bitrate: 1_700_000, lost: 14 },
    ],
    subscribers: 2,
  };
}

function status(): Status {
  return {
    version: '0.1.0',
    uptimeS: 93_784,
    pageUrls: [
      'https://localhost:8081/sfu',
      'https://workshop.local:8081/sfu',
      'https://192.168.1.5:8081/sfu',
    ],
    mediaAddresses: ['udp 192.168.1.5:40000', 'udp 192.168.1.5:40001', 'tcp 192.168.1.5:40000'],
    certificate: {
      domains: ['meet.example.org', 'www.meet.example.org'],
      inUse: true,
      issuer: "Let's Encrypt (R11)",
      validUntil: 1_800_000_000,
      lastError: null,
      nextTry: 1_797_400_000,
    },
    workers: [
      {
        index: 0,
        port: 40_000,
        busy: 0.34,
        transports: 11,
        datagramsIn: 2300,
        datagramsOut: 9100,
        strays: 3,
      },
      {
        index: 1,
        port: 40_001,
        busy: 0.02,
        transports: 4,
        datagramsIn: 120,
        datagramsOut: 300,
        strays: 0,
      },
    ],
    memory: {
      residentBytes: 31 * 1024 * 1024,
      boundBytes: 128 * 1024 * 1024,
      tight: false,
      refused: [{ work: 'join', count: 2 }],
    },
    held: {
      rooms: 3,
      participants: 9,
      sessions: 9,
      transports: 15,
      tracks: 14,
      subscriptions: 52,
      deadlines: 2,
      workerTransports: 15,
      workerProducers: 14,
      workerConsumers: 52,
      tasks: 12,
    },
    rooms: state.rooms.map(detail),
  };
}
