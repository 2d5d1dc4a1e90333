import type { CreateInvite, Role } from '../api/types.ts';
import type { RoomCamera } from './roomCameras.ts';

/** What the form for a new invite holds: texts, as they are typed. */
export type InviteForm = {
  room: string;
  role: Role;
  /** Seconds, or empty for never. */
  expiry: string;
  /** A number, or empty for any number of joins. */
  uses: string;
  /** Which cameras guests see. */
  sight: Sight;
  /** If it is some: their ids, perhaps of other rooms as well. */
  chosen: readonly string[];
};

export type Sight = 'all' | 'none' | 'some';

export const FIRST_INVITE: InviteForm = {
  room: '',
  role: 'talk',
  expiry: '86400',
  uses: '',
  sight: 'all',
  chosen: [],
};

/** Which cameras guests see, in words. */
export const SIGHTS: readonly { value: Sight; label: string }[] = [
  { value: 'all', label: 'All cameras' },
  { value: 'none', label: 'No cameras' },
  { value: 'some', label: 'Only these cameras' },
];

/** An invite names no more than this; the server says so as well. */
const CAMERAS_MAX = 64;

/** What guests may do, in few words and in a sentence. */
export const ROLES: readonly { value: Role; label: string; text: string }[] = [
  { value: 'watch', label: 'Only watch', text: 'See, hear and chat.' },
  { value: 'talk', label: 'Take part', text: 'Send camera, microphone and screen as well.' },
  { value: 'moderate', label: 'Moderate', text: 'Mute, silence and remove others as well.' },
];

export function roleLabel(role: Role): string {
  return ROLES.find(({ value }) => value === role)?.label ?? role;
}

/** Seconds as the values of a choice. */
export const EXPIRIES: readonly { value: string; label: string }[] = [
  { value: '3600', label: '1 hour' },
  { value: '86400', label: '1 day' },
  { value: '604800', label: '1 week' },
  { value: '2592000', label: '30 days' },
  { value: '', label: 'Never' },
];

/** More joins than this by one link are better written as "any number". */
const USES_MAX = 100_000;

/**
 * Turns the form into the request, or says what is wrong with it. Of the chosen cameras those count
 * that are in the room.
 */
export function readInviteForm(
  form: InviteForm,
  cameras: readonly RoomCamera[],
): { ok: true; invite: CreateInvite } | { ok: false; problem: string } {
  const room = form.room.trim();
  if (room === '') return { ok: false, problem: 'Choose a room.' };
  if ([...room].length > 64) return { ok: false, problem: 'The room’s name is too long.' };
  if (room.includes('/')) return { ok: false, problem: 'A room’s name cannot contain “/”.' };
  const uses = form.uses.trim();
  if (uses !== '' && !/^[1-9][0-9]*$/.test(uses)) {
    return { ok: false, problem: 'The number of joins must be a whole number, or empty.' };
  }
  if (Number(uses) > USES_MAX) {
    return { ok: false, problem: `At most ${USES_MAX} joins, or leave it empty.` };
  }
  const chosen = form.chosen.filter((id) => cameras.some((camera) => camera.id === id));
  if (form.sight === 'some' && chosen.length === 0) {
    return { ok: false, problem: 'Choose a camera, or “No cameras”.' };
  }
  if (chosen.length > CAMERAS_MAX) {
    return { ok: false, problem: `Choose ${CAMERAS_MAX} cameras at most, or “All cameras”.` };
  }
  return {
    ok: true,
    invite: {
      room,
      role: form.role,
      expiresInS: form.expiry === '' ? null : Number(form.expiry),
      uses: uses === '' ? null : Number(uses),
      cameras: form.sight === 'all' ? null : form.sight === 'none' ? [] : chosen,
    },
  };
}
