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
