import { type Participant, Track } from 'livekit-client';
import { useCallback, useState } from 'react';
import { CallError, moderate } from '../api/client.ts';
import type { Call } from './call.ts';
import { useNotices } from './notices.tsx';

/** One thing that a moderator can do to somebody now. */
export type Act = {
  label: string;
  /** What is read out when it is done. */
  done: string;
  method: string;
  body: Record<string, unknown>;
};

/** Something that moderators can switch off, and how that is said. */
type Switch = { source: Track.Source; label: string; done: string };

const MICROPHONE: Switch = {
  source: Track.Source.Microphone,
  label: 'Mute the microphone',
  done: 'Microphone muted',
};

const SWITCHES: readonly Switch[] = [
  MICROPHONE,
  { source: Track.Source.Camera, label: 'Switch the camera off', done: 'Camera switched off' },
  { source: Track.Source.ScreenShare, label: 'Stop the shared screen', done: 'Screen stopped' },
  { source: Track.Source.ScreenShareAudio, label: 'Mute the screen', done: 'Screen muted' },
];

/** What can be done to somebody, apart from removal. */
export function actsOn(room: string, participant: Participant): Act[] {
  const about = { room, identity: participant.identity };
  const acts = SWITCHES.flatMap((off) => switching(room, participant, off));
  // Nobody gets more than the invite allows.
  if (participant.attributes['umbrella.role'] === 'watch') return acts;
  const silent = participant.permissions?.canPublish === false;
  const body = { ...about, permission: { canPublish: silent } };
  acts.push({
    label: silent ? 'Let them talk and share' : 'Do not let them talk or share',
    done: silent ? 'They may talk and share' : 'They may no longer talk or share',
    method: 'UpdateParticipant',
    body,
  });
  return acts;
}

/** Sends somebody away. */
export function removal(room: string, { identity }: Participant): Act {
  const body = { room, identity };
  return { label: 'Remove', done: 'Removed from the room', method: 'RemoveParticipant', body };
}

/** Mutes everybody else who has a microphone open. */
export function muteAll(room: string, participants: Iterable<Participant>): Act[] {
  const others = [...participants].filter(({ isLocal }) => !isLocal);
  return others.flatMap((participant) => switching(room, participant, MICROPHONE));
}

/** Switching something off, if it is on. */
function switching(room: string, participant: Participant, off: Switch): Act[] {
  const publication = participant.getTrackPublication(off.source);
  if (publication === undefined || publication.isMuted) return [];
  const { identity } = participant;
  const body = { room, identity, trackSid: publication.trackSid, muted: true };
  return [{ label: off.label, done: off.done, method: 'MutePublishedTrack', body }];
}

export type Moderation = {
  /** The label of what is being done. */
  busy: string | null;
  /** Why the last thing was not done, in words. */
  error: string | null;
  /** Does things one after the other; whether all were done. */
  run: (label: string, acts: readonly Act[]) => Promise<boolean>;
};

/** Does all, also when one fails: whoever is gone meanwhile must not keep the others from it. */
async function doAll(call: Call, acts: readonly Act[]): Promise<void> {
  let failure: unknown = null;
  for (const { method, body } of acts) {
    await moderate(call.token(), method, body).catch((error) => {
      failure ??= error;
    });
  }
  if (failure !== null) throw failure;
}

/** Does what a moderator asks for. */
export function useModeration(call: Call): Moderation {
  const { announce } = useNotices();
  const [busy, setBusy] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);
  const run = useCallback(
    async (label: string, acts: readonly Act[]) => {
      setBusy(label);
      setError(null);
      try {
        await doAll(call, acts);
        announce(acts.length === 1 && acts[0] ? acts[0].done : `${label}: done`);
        return true;
      } catch (failure) {
        setError(failure instanceof CallError ? failure.message : 'This did not work.');
        return false;
      } finally {
        setBusy(null);
      }
    },
    [call, announce],
  );
  return { busy, error, run };
}
