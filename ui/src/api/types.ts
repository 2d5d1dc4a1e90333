// The types of the page's own HTTP API.
export type ApiError = { code: string; message: string; retryAfterS: number | null };
export type AdminSession = {
  signedIn: boolean;
  passwordSet: boolean;
  csrf: string;
  version: string;
  serverName: string;
};
export type SetupRequest = { code: string; password: string };
export type LoginRequest = { password: string };
export type InviteInfo = {
  room: string;
  canPublish: boolean;
  participants: number;
  serverName: string;
};
export type JoinRequest = { name: string; clientId: string };
export type JoinGrant = {
  prefix: string;
  token: string;
  room: string;
  identity: string;
  canPublish: boolean;
};
export type RoomSummary = {
  name: string;
  permanent: boolean;
  participants: number;
  publishers: number;
  createdAt: number;
};
export type CreateRoom = { name: string };
export type RoomDetail = { summary: RoomSummary; participants: Array<ParticipantDetail> };
export type ParticipantDetail = {
  identity: string;
  name: string;
  state: string;
  hidden: boolean;
  joinedAtMs: number;
  client: string;
  protocol: string;
  rttMs: number | null;
  tracks: Array<TrackDetail>;
  subscriptions: number;
};
export type TrackDetail = {
  id: string;
  kind: string;
  source: string;
  name: string;
  codec: string;
  muted: boolean;
  layers: Array<LayerDetail>;
  subscribers: number;
};
export type LayerDetail = { width: number; height: number; bitrate: number; lost: number };
export type MuteRequest = { muted: boolean };
export type Invite = {
  id: string;
  room: string;
  canPublish: boolean;
  expiresAt: number | null;
  usesLeft: number | null;
  uses: number;
  createdAt: number;
};
export type CreateInvite = {
  room: string;
  canPublish: boolean;
  expiresInS: number | null;
  uses: number | null;
};
export type CreatedInvite = { invite: Invite; path: string; urls: Array<string> };
export type ApiKey = { key: string; note: string; createdAt: number; configured: boolean };
export type CreateKey = { note: string };
export type CreatedKey = { key: ApiKey; secret: string };
export type Status = {
  version: string;
  uptimeS: number;
  pageUrls: Array<string>;
  mediaAddresses: Array<string>;
  workers: Array<WorkerStatus>;
  rooms: Array<RoomDetail>;
};
export type WorkerStatus = {
  index: number;
  port: number;
  busy: number;
  transports: number;
  datagramsIn: number;
  datagramsOut: number;
  strays: number;
};
