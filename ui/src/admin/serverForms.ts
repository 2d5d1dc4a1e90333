import type {
  AddTrunk,
  AllowedServer,
  AllowServer,
  TrunkEntry,
  TrunkNeighbour,
} from '../api/trunkTypes.ts';
import { durationText } from './format.ts';
import type { Tone } from './StateTag.tsx';

/** What the form to join another server holds: texts, as they are typed. */
export type JoinForm = {
  url: string;
  secret: string;
  rooms: string;
  moderate: boolean;
  insecure: boolean;
};

export const FIRST_JOIN: JoinForm = {
  url: '',
  secret: '',
  rooms: '',
  moderate: true,
  insecure: false,
};

/** What the form for a server that may join holds. */
export type AllowForm = { name: string; rooms: string; expiry: string; moderate: boolean };

export const FIRST_ALLOW: AllowForm = { name: '', rooms: '', expiry: '604800', moderate: true };

/** Seconds within which a server has to join for the first time. */
export const JOIN_EXPIRIES: readonly { value: string; label: string }[] = [
  { value: '3600', label: 'within 1 hour' },
  { value: '86400', label: 'within 1 day' },
  { value: '604800', label: 'within 1 week' },
  { value: '', label: 'at any time' },
];

type Read<T> = { ok: true; value: T } | { ok: false; problem: string };

/** Whether an address is dialled without TLS: then everybody on the way can listen. */
export function isPlain(url: string): boolean {
  return /^\s*(http|ws):\/\//i.test(url);
}

/** Turns the form into the request, or says what is wrong with it. */
export function readJoinForm(form: JoinForm): Read<AddTrunk> {
  const url = form.url.trim();
  const secret = form.secret.trim();
  if (url === '') return { ok: false, problem: 'Enter the other server’s address.' };
  if (secret === '') return { ok: false, problem: 'Enter the join secret of the other server.' };
  if (!secret.startsWith('umbrella-join-')) {
    return { ok: false, problem: 'This is no join secret: they begin with “umbrella-join-”.' };
  }
  const insecure = form.insecure && isPlain(url);
  const { moderate } = form;
  return { ok: true, value: { url, secret, rooms: roomPatterns(form.rooms), moderate, insecure } };
}

/** Turns the form into the request, or says what is wrong with it. */
export function readAllowForm(form: AllowForm): Read<AllowServer> {
  const name = form.name.trim();
  if (name === '') return { ok: false, problem: 'Give the other server a name.' };
  if ([...name].length > 64) return { ok: false, problem: 'The name is too long.' };
  const expiresInS = form.expiry === '' ? null : Number(form.expiry);
  const { moderate } = form;
  return { ok: true, value: { name, rooms: roomPatterns(form.rooms), expiresInS, moderate } };
}

/** Patterns of rooms as they are typed: with commas between them. */
export function roomPatterns(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

export function roomsText(rooms: string[]): string {
  return rooms.length === 0 ? 'all rooms' : `rooms ${rooms.join(', ')}`;
}

/** How an entry stands, in a word or two. */
export function stateText(entry: TrunkEntry): { text: string; tone: Tone } {
  switch (entry.state) {
    case 'connecting':
      return { text: 'Connecting', tone: 'wait' };
    case 'connected':
      return { text: 'Connected', tone: 'good' };
    case 'refused':
      return { text: 'Refused', tone: 'bad' };
    case 'reconnecting':
      return { text: 'Reconnecting', tone: 'wait' };
    case 'confirm':
      return { text: 'Needs your confirmation', tone: 'bad' };
  }
}

/** How a server that may join stands. */
export function allowedText(server: AllowedServer, nowS: number): { text: string; tone: Tone } {
  if (server.connected.length > 0) return { text: 'Connected', tone: 'good' };
  if (server.joined) return { text: 'Not connected', tone: 'wait' };
  if (server.expiresAt === null) return { text: 'Has not joined yet', tone: 'wait' };
  const left = server.expiresAt - nowS;
  if (left <= 0) return { text: 'Has not joined in time', tone: 'bad' };
  return { text: `Has to join within ${durationText(left)}`, tone: 'wait' };
}

/** What is known of a server at the other end. */
export function neighbourText(neighbour: TrunkNeighbour, nowS: number): string {
  const rtt = neighbour.rttMs === null ? '' : ` · ${rttText(neighbour.rttMs)}`;
  const role = neighbour.media ? '' : ' · signalling only';
  const since = durationText(Math.max(0, nowS - neighbour.since));
  return `Umbrella ${neighbour.version}${role}${rtt} · for ${since}`;
}

function rttText(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

/** The address to enter on the other server, best first: not one that leads it to itself. */
export function joinUrls(urls: string[]): string[] {
  const local = (url: string) => /^https?:\/\/(localhost|127\.|\[::1\])/.test(url);
  const others = urls.filter((url) => !local(url));
  return others.length === 0 ? urls : others;
}
