import type {
  CameraEntry,
  CameraSettings,
  CameraTested,
  ConfirmCamera,
  ImportCameras,
  ImportedCameras,
  TestCamera,
} from './cameraTypes.ts';
import { apiUrl } from './prefix.ts';
import type {
  AddTrunk,
  AllowedNow,
  AllowServer,
  ConfirmTrunk,
  Nearby,
  Topology,
  TrunkEntry,
  TrunkOverview,
} from './trunkTypes.ts';
import type {
  AdminSession,
  ApiError,
  ApiKey,
  CheckAnswer,
  CheckOffer,
  CheckPlan,
  CreatedInvite,
  CreatedKey,
  CreateInvite,
  CreateKey,
  CreateRoom,
  Invite,
  InviteInfo,
  JoinGrant,
  JoinRequest,
  LoginRequest,
  MuteRequest,
  RoomDetail,
  RoomSummary,
  SetupRequest,
  Status,
} from './types.ts';

/** How long any call may take before it counts as failed. */
const CALL_TIMEOUT_MS = 15_000;

/** A call that failed: with the server's own words, or with ours if it could not be reached. */
export class CallError extends Error {
  constructor(
    /** One of the codes of `ApiError`, or `offline`, `timeout`. */
    readonly code: string,
    message: string,
    /** The HTTP status, 0 if there was no answer. */
    readonly status: number,
    readonly retryAfterS: number | null = null,
  ) {
    super(message);
    this.name = 'CallError';
  }
}

type Method = 'GET' | 'POST' | 'DELETE';

/** Proves to the server that an admin's change comes from this page. Kept out of storage. */
let csrf = '';

export const api = {
  session: () => signIn(call<AdminSession>('GET', '/api/session')),
  setup: (body: SetupRequest) => signIn(call<AdminSession>('POST', '/api/setup', body)),
  login: (body: LoginRequest) => signIn(call<AdminSession>('POST', '/api/login', body)),
  logout: async () => {
    await call<void>('POST', '/api/logout');
    csrf = '';
  },
  invite: (token: string) => call<InviteInfo>('GET', `/api/invite/${encodeURIComponent(token)}`),
  joinByInvite: (token: string, body: JoinRequest) =>
    call<JoinGrant>('POST', `/api/invite/${encodeURIComponent(token)}/join`, body),

  checkPlan: (token: string | null) => call<CheckPlan>('GET', checkPath(token)),
  checkOffer: (token: string | null, body: CheckOffer) =>
    call<CheckAnswer>('POST', checkPath(token), body),
  /** A WebSocket that sends back what comes. */
  checkEchoPath: (token: string | null) => `${checkPath(token)}/echo`,

  rooms: () => call<RoomSummary[]>('GET', '/api/admin/rooms'),
  createRoom: (body: CreateRoom) => call<RoomSummary>('POST', '/api/admin/rooms', body),
  deleteRoom: (room: string) => call<void>('DELETE', roomPath(room)),
  room: (room: string) => call<RoomDetail>('GET', roomPath(room)),
  joinAsAdmin: (room: string, body: JoinRequest) =>
    call<JoinGrant>('POST', `${roomPath(room)}/join`, body),
  removeParticipant: (room: string, identity: string) =>
    call<void>('DELETE', `${roomPath(room)}/participants/${encodeURIComponent(identity)}`),
  muteTrack: (room: string, track: string, body: MuteRequest) =>
    call<void>('POST', `${roomPath(room)}/tracks/${encodeURIComponent(track)}/mute`, body),
  invites: () => call<Invite[]>('GET', '/api/admin/invites'),
  createInvite: (body: CreateInvite) => call<CreatedInvite>('POST', '/api/admin/invites', body),
  revokeInvite: (id: string) =>
    call<void>('DELETE', `/api/admin/invites/${encodeURIComponent(id)}`),
  keys: () => call<ApiKey[]>('GET', '/api/admin/keys'),
  createKey: (body: CreateKey) => call<CreatedKey>('POST', '/api/admin/keys', body),
  revokeKey: (key: string) => call<void>('DELETE', `/api/admin/keys/${encodeURIComponent(key)}`),
  status: () => call<Status>('GET', '/api/admin/status'),
  retryCertificate: () => call<void>('POST', '/api/admin/certificate/retry'),

  cameras: () => call<CameraEntry[]>('GET', '/api/admin/cameras'),
  addCamera: (body: CameraSettings) => call<CameraEntry>('POST', '/api/admin/cameras', body),
  changeCamera: (id: string, body: CameraSettings) =>
    call<CameraEntry>('POST', cameraPath(id), body),
  removeCamera: (id: string) => call<void>('DELETE', cameraPath(id)),
  retryCamera: (id: string) => call<void>('POST', `${cameraPath(id)}/retry`),
  confirmCamera: (id: string, body: ConfirmCamera) =>
    call<void>('POST', `${cameraPath(id)}/confirm`, body),
  testCamera: (body: TestCamera) => call<CameraTested>('POST', '/api/admin/cameras/test', body),
  importCameras: (body: ImportCameras) =>
    call<ImportedCameras>('POST', '/api/admin/cameras/import', body),

  topology: () => call<Topology>('GET', '/api/admin/topology'),
  trunks: () => call<TrunkOverview>('GET', '/api/admin/trunks'),
  nearbyServers: () => call<Nearby>('GET', '/api/admin/trunks/nearby'),
  addTrunk: (body: AddTrunk) => call<TrunkEntry>('POST', '/api/admin/trunks', body),
  removeTrunk: (key: string) => call<void>('DELETE', trunkPath(key)),
  confirmTrunk: (key: string, body: ConfirmTrunk) =>
    call<void>('POST', `${trunkPath(key)}/confirm`, body),
  retryTrunk: (key: string) => call<void>('POST', `${trunkPath(key)}/retry`),
  allowServer: (body: AllowServer) => call<AllowedNow>('POST', '/api/admin/trunks/allowed', body),
  revokeServer: (key: string) =>
    call<void>('DELETE', `/api/admin/trunks/allowed/${encodeURIComponent(key)}`),
};

/** The self-check of a guest with an invite, or of the admin. */
function checkPath(token: string | null): string {
  return token === null ? '/api/admin/check' : `/api/invite/${encodeURIComponent(token)}/check`;
}

/** What moderators do, by the server API: with the token of their own call, never the admin's. */
export async function moderate(token: string, method: string, body: unknown): Promise<void> {
  const path = `/twirp/livekit.RoomService/${method}`;
  const response = await send('POST', path, body, { Authorization: `Bearer ${token}` });
  if (response.ok) return;
  const error: unknown = await response.json().catch(() => null);
  const message = error !== null && typeof error === 'object' && 'msg' in error ? error.msg : null;
  const text =
    typeof message === 'string' ? sentence(message) : `The server answered ${response.status}.`;
  throw new CallError('internal', text, response.status);
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

async function signIn(answer: Promise<AdminSession>): Promise<AdminSession> {
  const session = await answer;
  csrf = session.csrf;
  return session;
}

function cameraPath(id: string): string {
  return `/api/admin/cameras/${encodeURIComponent(id)}`;
}

function trunkPath(key: string): string {
  return `/api/admin/trunks/${encodeURIComponent(key)}`;
}

function roomPath(room: string): string {
  return `/api/admin/rooms/${encodeURIComponent(room)}`;
}

async function call<T>(method: Method, path: string, body?: unknown): Promise<T> {
  const response = await send(method, path, body);
  if (!response.ok) throw await toError(response);
  if (response.status === 204) return undefined as T;
  try {
    return (await response.json()) as T;
  } catch {
    throw new CallError('internal', 'The server gave an answer that makes no sense.', 200);
  }
}

async function send(
  method: Method,
  path: string,
  body?: unknown,
  more: Record<string, string> = {},
): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json', ...more };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (method !== 'GET' && csrf !== '') headers['X-Umbrella-CSRF'] = csrf;
  try {
    return await fetch(apiUrl(path), {
      method,
      headers,
      credentials: 'same-origin',
      cache: 'no-store',
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'TimeoutError') {
      throw new CallError('timeout', 'The server does not answer. Please try again.', 0);
    }
    throw new CallError(
      'offline',
      'The server cannot be reached. Check your network and try again.',
      0,
    );
  }
}

async function toError(response: Response): Promise<CallError> {
  try {
    const error = (await response.json()) as Partial<ApiError>;
    if (typeof error.code === 'string' && typeof error.message === 'string') {
      return new CallError(error.code, error.message, response.status, error.retryAfterS ?? null);
    }
  } catch {
    // A proxy in between answers with its own page: the status is all there is.
  }
  return new CallError('internal', `The server answered ${response.status}.`, response.status);
}
