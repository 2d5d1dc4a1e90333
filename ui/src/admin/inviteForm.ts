import type { CreateInvite, Role } from '../api/types.ts';

/** What the form for a new invite holds: texts, as they are typed. */
export type InviteForm = {
  room: string;
  role: Role;
  /** Seconds, or empty for never. */
  expiry: string;
  /** A number, or empty for any number of joins. */
  uses: string;
};

export const FIRST_INVITE: InviteForm = { room: '', role: 'talk', expiry: '86400', uses: '' };

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

/** Turns the form into the request, or says what is wrong with it. */
export function readInviteForm(
  form: InviteForm,
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
  return {
    ok: true,
    invite: {
      room,
      role: form.role,
      expiresInS: form.expiry === '' ? null : Number(form.expiry),
      uses: uses === '' ? null : Number(uses),
    },
  };
}
