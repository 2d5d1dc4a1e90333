// The types of the server's HTTP API, generated from crates/server/src/http/api.rs.
// Do not edit: `UPDATE_TYPES=1 cargo test -p umbrella page_types` rewrites this file.

/**
 * What went wrong, for people and for programs.
 */
export type ApiError = {
  /**
   * A stable word: `unauthorized`, `forbidden`, `not_found`, `invalid`, `conflict`,
   * `expired`, `used_up`, `rate_limited`, `unavailable`, `internal`.
   */
  code: string;
  /**
   * A sentence for the person who sees it.
   */
  message: string;
  /**
   * Seconds to wait, when rate-limited.
   */
  retryAfterS: number | null;
};

/**
 * What a browser can try, to find out what it reaches.
 */
export type CheckPlan = {
  /**
   * The media ports.
   */
  ports: Array<number>;
  /**
   * Whether media go over UDP.
   */
  udp: boolean;
  /**
   * Whether media go over TCP.
   */
  tcp: boolean;
  /**
   * Relays.
   */
  relays: Array<CheckServer>;
};

/**
 * A relay, as browsers are told.
 */
export type CheckServer = {
  /**
   * Its addresses, as `turn:turn.example.org:3478`.
   */
  urls: Array<string>;
  /**
   * The user.
   */
  username: string;
  /**
   * The password.
   */
  credential: string;
};

/**
 * A peer connection that only tells whether a port is reached.
 */
export type CheckOffer = {
  /**
   * The media port.
   */
  port: number;
  /**
   * The browser's description.
   */
  sdp: string;
};

/**
 * The server's end of it.
 */
export type CheckAnswer = {
  /**
   * The server's description.
   */
  sdp: string;
};

/**
 * Who is looking at the page.
 */
export type AdminSession = {
  /**
   * Whether this browser is signed in as the admin.
   */
  signedIn: boolean;
  /**
   * Whether an admin password has been set at all.
   */
  passwordSet: boolean;
  /**
   * To be sent back in `X-Umbrella-CSRF`; empty when not signed in.
   */
  csrf: string;
  /**
   * The server's version.
   */
  version: string;
  /**
   * The server's name, shown in the page's head.
   */
  serverName: string;
};

/**
 * Sets the admin's password with the one-time link's code.
 */
export type SetupRequest = {
  /**
   * The code in the link `…/sfu#/setup/CODE`.
   */
  code: string;
  /**
   * The new password, 8 to 1024 characters.
   */
  password: string;
};

/**
 * Signs the admin in.
 */
export type LoginRequest = {
  /**
   * The admin's password.
   */
  password: string;
};

/**
 * What an invite allows whoever comes by it.
 */
export   type Role = "watch" | "talk" | "moderate";;

/**
 * What a guest sees before joining.
 */
export type InviteInfo = {
  /**
   * The room.
   */
  room: string;
  /**
   * Whether the guest may send camera, microphone and screen, or only watch.
   */
  canPublish: boolean;
  /**
   * Whether the guest may mute, forbid and remove others.
   */
  canModerate: boolean;
  /**
   * Participants in the room now, as far as the guest will see them.
   */
  participants: number;
  /**
   * The server's name.
   */
  serverName: string;
};

/**
 * A person wants to join.
 */
export type JoinRequest = {
  /**
   * The name they gave, 1 to 64 characters after trimming.
   */
  name: string;
  /**
   * Kept by the browser's tab, so that a reload replaces the old self instead of joining
   * as a second one. 8 to 64 characters of `[A-Za-z0-9_-]`.
   */
  clientId: string;
};

/**
 * What a client needs to connect.
 */
export type JoinGrant = {
  /**
   * The path to be put behind the page's own origin to get the WebSocket URL, e.g. `` or
   * `/umbrella`.
   */
  prefix: string;
  /**
   * The access token.
   */
  token: string;
  /**
   * The room.
   */
  room: string;
  /**
   * The identity.
   */
  identity: string;
  /**
   * Whether camera, microphone and screen may be sent.
   */
  canPublish: boolean;
  /**
   * Whether others may be muted, forbidden to send, and removed.
   */
  canModerate: boolean;
};

/**
 * A room in a list.
 */
export type RoomSummary = {
  /**
   * Its name.
   */
  name: string;
  /**
   * Whether it was created by the admin and stays while empty.
   */
  permanent: boolean;
  /**
   * Participants now.
   */
  participants: number;
  /**
   * Of these, the ones that publish.
   */
  publishers: number;
  /**
   * Seconds since the Unix epoch.
   */
  createdAt: number;
};

/**
 * Creates a room.
 */
export type CreateRoom = {
  /**
   * 1 to 64 characters after trimming, no control characters, no `/`.
   */
  name: string;
};

/**
 * A room with everybody in it.
 */
export type RoomDetail = {
  /**
   * The room.
   */
  summary: RoomSummary;
  /**
   * Who is in, oldest first.
   */
  participants: Array<ParticipantDetail>;
};

/**
 * A participant as the admin sees it.
 */
export type ParticipantDetail = {
  /**
   * Who.
   */
  identity: string;
  /**
   * Shown to people.
   */
  name: string;
  /**
   * `joined` or `active`.
   */
  state: string;
  /**
   * Not shown to the others.
   */
  hidden: boolean;
  /**
   * A camera, of this server or of a linked one.
   */
  camera: boolean;
  /**
   * Milliseconds since the Unix epoch.
   */
  joinedAtMs: number;
  /**
   * SDK and version, as the client says.
   */
  client: string;
  /**
   * `udp`, `tcp` or empty while not connected.
   */
  protocol: string;
  /**
   * Milliseconds.
   */
  rttMs: number | null;
  /**
   * What it publishes.
   */
  tracks: Array<TrackDetail>;
  /**
   * How many tracks it receives.
   */
  subscriptions: number;
};

/**
 * A published track as the admin sees it.
 */
export type TrackDetail = {
  /**
   * `TR_…`.
   */
  id: string;
  /**
   * `audio` or `video`.
   */
  kind: string;
  /**
   * `camera`, `microphone`, `screen_share`, `screen_share_audio` or `unknown`.
   */
  source: string;
  /**
   * Its name.
   */
  name: string;
  /**
   * `video/VP8` and the like; empty while unknown.
   */
  codec: string;
  /**
   * Muted by its publisher or a moderator.
   */
  muted: boolean;
  /**
   * Encodings, lowest first.
   */
  layers: Array<LayerDetail>;
  /**
   * How many subscribers get it.
   */
  subscribers: number;
};

/**
 * One encoding of a track.
 */
export type LayerDetail = {
  /**
   * Pixels, 0 if unknown.
   */
  width: number;
  /**
   * Pixels, 0 if unknown.
   */
  height: number;
  /**
   * Bits per second that arrive.
   */
  bitrate: number;
  /**
   * Packets that never came, since the start.
   */
  lost: number;
};

/**
 * Mutes or unmutes somebody's track.
 */
export type MuteRequest = {
  /**
   * On or off.
   */
  muted: boolean;
};

/**
 * An invite link without its secret.
 */
export type Invite = {
  /**
   * For revoking it.
   */
  id: string;
  /**
   * The room.
   */
  room: string;
  /**
   * What it allows.
   */
  role: Role;
  /**
   * Seconds since the Unix epoch; `null` is never.
   */
  expiresAt: number | null;
  /**
   * Joins that it still allows; `null` is unbounded.
   */
  usesLeft: number | null;
  /**
   * Joins so far.
   */
  uses: number;
  /**
   * The cameras that whoever comes by it may see, by identity, some of which may be gone;
   * `null` is all of the room.
   */
  cameras: Array<string> | null;
  /**
   * Seconds since the Unix epoch.
   */
  createdAt: number;
};

/**
 * Makes an invite link.
 */
export type CreateInvite = {
  /**
   * The room; it is made if it does not exist.
   */
  room: string;
  /**
   * What it allows.
   */
  role: Role;
  /**
   * Seconds from now; `null` is never.
   */
  expiresInS: number | null;
  /**
   * How many joins; `null` is unbounded.
   */
  uses: number | null;
  /**
   * The cameras to be seen, by identity, 64 at most, of 1 to 64 characters each; `null` is all
   * of the room, those included that are added later.
   */
  cameras: Array<string> | null;
};

/**
 * A new invite with its link, shown once.
 */
export type CreatedInvite = {
  /**
   * The invite.
   */
  invite: Invite;
  /**
   * The page's path with the secret, below the page's own origin:
   * `PREFIX/sfu#/join/TOKEN`. Behind `#`, so that it reaches no access log.
   */
  path: string;
  /**
   * Whole links, one for every address of this server.
   */
  urls: Array<string>;
};

/**
 * An API key without its secret.
 */
export type ApiKey = {
  /**
   * The key.
   */
  key: string;
  /**
   * A note for people.
   */
  note: string;
  /**
   * Seconds since the Unix epoch.
   */
  createdAt: number;
  /**
   * From configuration or environment: cannot be revoked here.
   */
  configured: boolean;
};

/**
 * Makes an API key.
 */
export type CreateKey = {
  /**
   * A note for people, at most 200 characters.
   */
  note: string;
};

/**
 * A new API key, with the secret for this once.
 */
export type CreatedKey = {
  /**
   * The key.
   */
  key: ApiKey;
  /**
   * The secret.
   */
  secret: string;
};

/**
 * The state of the server.
 */
export type Status = {
  /**
   * The server's version.
   */
  version: string;
  /**
   * Seconds since the start.
   */
  uptimeS: number;
  /**
   * Addresses at which the page can be opened.
   */
  pageUrls: Array<string>;
  /**
   * Addresses that are advertised for media, as `udp 192.0.2.1:40000`.
   */
  mediaAddresses: Array<string>;
  /**
   * The certificate by ACME, if one is wanted.
   */
  certificate: CertificateStatus | null;
  /**
   * The workers.
   */
  workers: Array<WorkerStatus>;
  /**
   * Its memory.
   */
  memory: MemoryStatus;
  /**
   * What is held for clients.
   */
  held: Held;
  /**
   * Every room with everybody in it.
   */
  rooms: Array<RoomDetail>;
};

/**
 * How things are with the certificate of a public authority.
 */
export type CertificateStatus = {
  /**
   * The names that are wanted.
   */
  domains: Array<string>;
  /**
   * Whether there is one that has not expired. Otherwise the server's own is served.
   */
  inUse: boolean;
  /**
   * Who has issued the one that there is.
   */
  issuer: string | null;
  /**
   * Until when that is valid, Unix time in seconds.
   */
  validUntil: number | null;
  /**
   * Why the last try to get one failed, if it did.
   */
  lastError: string | null;
  /**
   * When one is asked for next, Unix time in seconds. What is past is being done.
   */
  nextTry: number;
};

/**
 * How many things the server holds for its clients. When all have gone, it is back at what it
 * was before they came; something that stays is a leak.
 */
export type Held = {
  /**
   * Rooms, permanent ones included.
   */
  rooms: number;
  /**
   * Participants in them.
   */
  participants: number;
  /**
   * Connected clients.
   */
  sessions: number;
  /**
   * Their peer connections.
   */
  transports: number;
  /**
   * Tracks that were announced.
   */
  tracks: number;
  /**
   * Subscriptions.
   */
  subscriptions: number;
  /**
   * Deadlines of rooms and of sessions that end.
   */
  deadlines: number;
  /**
   * Peer connections in the workers; `null` until all workers have said so, a moment after
   * the first look.
   */
  workerTransports: number | null;
  /**
   * Published tracks in the workers.
   */
  workerProducers: number | null;
  /**
   * Subscriptions in the workers.
   */
  workerConsumers: number | null;
  /**
   * Asynchronous tasks: one for every connection, and a few of the server itself.
   */
  tasks: number;
};

/**
 * Refusals for want of memory.
 */
export type MemoryRefusals = {
  /**
   * Of what: `join`, `track`, `subscription`, `camera` or `trunk`.
   */
  work: string;
  /**
   * How many.
   */
  count: number;
};

/**
 * How the server's memory stands.
 */
export type MemoryStatus = {
  /**
   * What the process occupies; `null` if the system does not say.
   */
  residentBytes: number | null;
  /**
   * What it may occupy; `null` is unbounded.
   */
  boundBytes: number | null;
  /**
   * Nothing new is let in.
   */
  tight: boolean;
  /**
   * What was refused since the start, for want of memory.
   */
  refused: Array<MemoryRefusals>;
};

/**
 * One worker thread.
 */
export type WorkerStatus = {
  /**
   * Counted from 0.
   */
  index: number;
  /**
   * UDP and TCP port.
   */
  port: number;
  /**
   * Share of time spent working over the last seconds, 0 to 1.
   */
  busy: number;
  /**
   * Peer connections.
   */
  transports: number;
  /**
   * Datagrams per second received.
   */
  datagramsIn: number;
  /**
   * Datagrams per second sent.
   */
  datagramsOut: number;
  /**
   * Datagrams since the start that belonged to nobody.
   */
  strays: number;
};
