import { useParticipantInfo } from '@livekit/components-react';
import { type Participant, ParticipantEvent } from 'livekit-client';
import { useEffect, useReducer, useState } from 'react';
import { Button } from '../ui/Button.tsx';
import { Dialog } from '../ui/Dialog.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import type { Call } from './call.ts';
import { actsOn, removal, useModeration } from './moderation.ts';

const CHANGES = [
  ParticipantEvent.TrackMuted,
  ParticipantEvent.TrackUnmuted,
  ParticipantEvent.TrackPublished,
  ParticipantEvent.TrackUnpublished,
  ParticipantEvent.ParticipantPermissionsChanged,
] as const;

type Props = { call: Call; participant: Participant; onClose: () => void };

/** What a moderator can do to somebody. */
export function ModerateDialog({ call, participant, onClose }: Props) {
  const info = useParticipantInfo({ participant });
  const { busy, error, run } = useModeration(call);
  const [removing, setRemoving] = useState(false);
  useChanges(participant);
  const { room } = call.grant;
  const name = info.name || participant.identity;

  async function remove() {
    if (await run('remove', [removal(room, participant)])) onClose();
  }

  return (
    <Dialog open title={removing ? `Remove ${name}?` : name} onClose={onClose}>
      {error !== null && <ErrorNote>{error}</ErrorNote>}
      {removing ? (
        <>
          <p>
            Guests cannot come back in this browser for ten minutes. To keep them out for good,
            revoke the invite as well.
          </p>
          <div className="row row-end">
            <Button onClick={() => setRemoving(false)}>Cancel</Button>
            <Button kind="danger" busy={busy !== null} onClick={() => void remove()}>
              Remove
            </Button>
          </div>
        </>
      ) : (
        <>
          {actsOn(room, participant).map((act) => (
            <Button
              key={act.label}
              busy={busy === act.label}
              onClick={() => void run(act.label, [act])}
            >
              {act.label}
            </Button>
          ))}
          <Button kind="danger" onClick={() => setRemoving(true)}>
            Remove from the room
          </Button>
        </>
      )}
    </Dialog>
  );
}

/** Draws anew when what can be done has changed. */
function useChanges(participant: Participant): void {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    for (const event of CHANGES) participant.on(event, redraw);
    return () => {
      for (const event of CHANGES) participant.off(event, redraw);
    };
  }, [participant]);
}
