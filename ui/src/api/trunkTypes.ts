// The types of the server's HTTP API, generated from crates/server/src/http/api.rs.
// Do not edit: `UPDATE_TYPES=1 cargo test -p umbrella page_types` rewrites this file.

/**
 * This server's trunks.
 */
export type TrunkOverview = {
  /**
   * This server's id.
   */
  node: string;
  /**
   * What other servers call this one.
   */
  name: string;
  /**
   * It carries media, not only messages.
   */
  media: boolean;
  /**
   * SHA-256 of this server's own certificate authority, if it has one.
   */
  fingerprint: string | null;
  /**
   * Servers that are dialled.
   */
  entries: Array<TrunkEntry>;
  /**
   * Servers that may dial.
   */
  allowed: Array<AllowedServer>;
  /**
   * Who was refused lately, newest first.
   */
  refusals: Array<TrunkRefusal>;
};

/**
 * A server that is dialled.
 */
export type TrunkEntry = {
  /**
   * Names the entry.
   */
  key: string;
  /**
   * The other server's address.
   */
  url: string;
  /**
   * Patterns of the rooms that are shared; none is all.
   */
  rooms: Array<string>;
  /**
   * Moderators there may act on participants here.
   */
  moderate: boolean;
  /**
   * It is reached without TLS.
   */
  insecure: boolean;
  /**
   * It comes from the configuration and can only be removed there.
   */
  configured: boolean;
  /**
   * How it stands.
   */
  state: TrunkState;
  /**
   * Why it is not connected, where that is known.
   */
  why: string | null;
  /**
   * Seconds until the next attempt.
   */
  retryInS: number | null;
  /**
   * What the operator is to compare with the other server's, when `state` is `confirm`.
   */
  fingerprint: string | null;
  /**
   * Who is there, when `state` is `connected`.
   */
  neighbour: TrunkNeighbour | null;
};

/**
 * How a server that is dialled stands.
 */
export   type TrunkState = "connecting" | "connected" | "refused" | "reconnecting" | "confirm";;

/**
 * A server at the other end of a trunk.
 */
export type TrunkNeighbour = {
  /**
   * Its id.
   */
  node: string;
  /**
   * Its name.
   */
  name: string;
  /**
   * Its software's version.
   */
  version: string;
  /**
   * It carries media, not only messages.
   */
  media: boolean;
  /**
   * Milliseconds until a message is answered.
   */
  rttMs: number | null;
  /**
   * Since when it is connected, in seconds since the Unix epoch.
   */
  since: number;
};

/**
 * Servers that may dial: those that know a join secret.
 */
export type AllowedServer = {
  /**
   * The public half of the secret.
   */
  key: string;
  /**
   * The operator's name for it.
   */
  name: string;
  /**
   * Patterns of the rooms that are shared; none is all.
   */
  rooms: Array<string>;
  /**
   * Moderators there may act on participants here.
   */
  moderate: boolean;
  /**
   * When a server that has not joined yet is refused, in seconds since the Unix epoch.
   */
  expiresAt: number | null;
  /**
   * Seconds since the Unix epoch; 0 for one of the configuration.
   */
  createdAt: number;
  /**
   * A server has joined by it.
   */
  joined: boolean;
  /**
   * It comes from the configuration and can only be removed there.
   */
  configured: boolean;
  /**
   * Who is there now.
   */
  connected: Array<TrunkNeighbour>;
};

/**
 * Somebody who was refused.
 */
export type TrunkRefusal = {
  /**
   * Seconds since the Unix epoch.
   */
  at: number;
  /**
   * Its address.
   */
  address: string;
  /**
   * The operator's name for the secret that it named, if that is known.
   */
  name: string | null;
  /**
   * Why.
   */
  why: string;
};

/**
 * Servers of the local network.
 */
export type Nearby = {
  /**
   * The local network is listened to.
   */
  listening: boolean;
  /**
   * Those that are announced, at most 64, without this one.
   */
  servers: Array<NearbyServer>;
};

/**
 * A server of the local network. What it says of itself is proved by nothing.
 */
export type NearbyServer = {
  /**
   * Its id.
   */
  node: string;
  /**
   * Its name.
   */
  name: string;
  /**
   * Its address, for a trunk.
   */
  url: string;
  /**
   * There is a trunk to it.
   */
  linked: boolean;
};

/**
 * Dials another server from now on.
 */
export type AddTrunk = {
  /**
   * The other server's address.
   */
  url: string;
  /**
   * A join secret of that server.
   */
  secret: string;
  /**
   * Patterns of the rooms that are shared; none is all.
   */
  rooms: Array<string>;
  /**
   * Moderators there may act on participants here.
   */
  moderate: boolean;
  /**
   * Without TLS, beyond this machine.
   */
  insecure: boolean;
};

/**
 * The operator says that an authority is the right one.
 */
export type ConfirmTrunk = {
  /**
   * The one that was shown: another one may have come meanwhile.
   */
  fingerprint: string;
};

/**
 * Makes a join secret.
 */
export type AllowServer = {
  /**
   * The operator's name for the server.
   */
  name: string;
  /**
   * Patterns of the rooms that are shared; none is all.
   */
  rooms: Array<string>;
  /**
   * Seconds from now within which a server has to join for the first time; none is any time.
   */
  expiresInS: number | null;
  /**
   * Moderators there may act on participants here.
   */
  moderate: boolean;
};

/**
 * A new join secret.
 */
export type AllowedNow = {
  /**
   * What it allows.
   */
  server: AllowedServer;
  /**
   * The secret, shown this once.
   */
  secret: string;
  /**
   * Addresses under which other servers can dial this one.
   */
  urls: Array<string>;
};

/**
 * The network of servers as this one knows it, and what flows over its own links.
 */
export type Topology = {
  /**
   * This server's id; one of `nodes` as soon as there has been a link.
   */
  me: string;
  /**
   * Another server with the same id was heard of since this one was started.
   */
  copied: boolean;
  /**
   * Every server that can be reached, by id; at most 256.
   */
  nodes: Array<TopologyNode>;
  /**
   * This server's own links, the oldest first; at most 64.
   */
  links: Array<TrunkFlow>;
};

/**
 * A server of the network, as it describes itself.
 */
export type TopologyNode = {
  /**
   * Its id.
   */
  node: string;
  /**
   * Its name.
   */
  name: string;
  /**
   * Its software's version.
   */
  version: string;
  /**
   * It carries media, not only messages.
   */
  media: boolean;
  /**
   * Its links, by the other server's id; at most 128.
   */
  links: Array<TopologyLink>;
};

/**
 * A link of a server, as that server describes it.
 */
export type TopologyLink = {
  /**
   * The server at the other end.
   */
  node: string;
  /**
   * Milliseconds until a message is answered, once known.
   */
  rttMs: number | null;
  /**
   * Media can pass.
   */
  media: boolean;
};

/**
 * One of this server's own links, and what flows over it now.
 */
export type TrunkFlow = {
  /**
   * The server at the other end.
   */
  node: string;
  /**
   * Its name.
   */
  name: string;
  /**
   * This server has dialled the link.
   */
  dialled: boolean;
  /**
   * The server without media that has put both in touch, of a direct link.
   */
  introducer: string | null;
  /**
   * How the media connection stands.
   */
  media: TrunkMedia;
  /**
   * `udp` or `tcp`, while the media connection is up.
   */
  protocol: string | null;
  /**
   * Milliseconds until a message is answered.
   */
  rttMs: number | null;
  /**
   * Round-trip time of media in milliseconds, once something was sent.
   */
  mediaRttMs: number | null;
  /**
   * What the path to the other server carries, in bits per second, once its reports have told.
   */
  estimate: number | null;
  /**
   * Seconds since what is wanted over the link has changed last.
   */
  demandChangedS: number | null;
  /**
   * What comes.
   */
  received: TrunkTraffic;
  /**
   * What goes.
   */
  sent: TrunkTraffic;
};

/**
 * How the media connection of a link stands.
 */
export   type TrunkMedia = "off" | "down" | "failed" | "up";;

/**
 * What flows over a link in one direction.
 */
export type TrunkTraffic = {
  /**
   * Datagrams of the media connection, since this server knows the other one.
   */
  packets: number;
  /**
   * Their bytes.
   */
  bytes: number;
  /**
   * Bits per second now; unknown until the page has asked for some seconds.
   */
  bitrate: number | null;
  /**
   * How many tracks.
   */
  count: number;
  /**
   * The tracks by id, the first 200 of them.
   */
  tracks: Array<TrunkTrack>;
};

/**
 * A track on a link.
 */
export type TrunkTrack = {
  /**
   * Its id.
   */
  id: string;
  /**
   * In which room.
   */
  room: string;
  /**
   * Who publishes it.
   */
  identity: string;
  /**
   * Its publisher's name.
   */
  name: string;
  /**
   * Where it is published: a server's id.
   */
  origin: string;
  /**
   * `audio` or `video`.
   */
  kind: string;
  /**
   * `camera`, `microphone`, `screen_share`, `screen_share_audio` or `unknown`.
   */
  source: string;
  /**
   * What of it is on the link, lowest first.
   */
  layers: Array<TrunkLayer>;
  /**
   * Nothing of it is sent, because the link does not carry it.
   */
  starved: boolean;
};

/**
 * A layer of a track on a link.
 */
export type TrunkLayer = {
  /**
   * 0 lowest to 2 highest; that of sound is 0.
   */
  layer: number;
  /**
   * How often it is on the link: once.
   */
  copies: number;
  /**
   * Bits per second of all copies.
   */
  bitrate: number;
};
