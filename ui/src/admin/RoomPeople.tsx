import { useCallback, useState } from 'react';
import { api } from '../api/client.ts';
import type { ParticipantDetail, TrackDetail } from '../api/types.ts';
import { Button } from '../ui/Button.tsx';
import { Confirm } from '../ui/Confirm.tsx';
import { Icon } from '../ui/Icon.tsx';
import { Loading } from '../ui/Loading.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import { durationText } from './format.ts';
import { useAction, useData } from './useData.ts';

const REFRESH_MS = 3_000;

/** Who is in a room; the admin can remove people and mute what they send. */
export function RoomPeople({ room }: { room: string }) {
  const ask = useCallback(() => api.room(room), [room]);
  const detail = useData(ask, REFRESH_MS);
  const { busy, error, run } = useAction();
  const [doomed, setDoomed] = useState<ParticipantDetail | null>(null);

  async function act(what: string, work: () => Promise<void>) {
    const done = await run(what, work);
    await detail.reload();
    return done;
  }

  async function remove() {
    if (doomed === null) return;
    const { identity } = doomed;
    if (await act(identity, () => api.removeParticipant(room, identity))) setDoomed(null);
  }

  if (detail.value === null) {
    return detail.error === null ? <Loading what="panel" /> : <ErrorNote>{detail.error}</ErrorNote>;
  }
  return (
    <div className="room-people">
      {error !== null && doomed === null && <ErrorNote>{error}</ErrorNote>}
      {detail.value.participants.length === 0 && <p className="hint">Nobody is in this room.</p>}
      <ul aria-label={`People in ${room}`}>
        {detail.value.participants.map((person) => (
          <Person
            key={person.identity}
            person={person}
            busy={busy}
            onRemove={() => setDoomed(person)}
            onMute={(track) =>
              void act(track.id, () => api.muteTrack(room, track.id, { muted: true }))
            }
          />
        ))}
      </ul>
      <Confirm
        open={doomed !== null}
        title={`Remove ${doomed === null ? '' : nameOf(doomed)}?`}
        text="Their call ends at once. Guests cannot come back in this browser for ten minutes; revoke the invite as well to keep them out."
        action="Remove"
        busy={busy !== null}
        error={error}
        onConfirm={() => void remove()}
        onClose={() => setDoomed(null)}
      />
    </div>
  );
}

function Person(props: {
  person: ParticipantDetail;
  busy: string | null;
  onRemove: () => void;
  onMute: (track: TrackDetail) => void;
}) {
  const { person } = props;
  const name = nameOf(person);
  return (
    <li className="list-row">
      <div className="list-text">
        <span>
          {name}
          {person.hidden && <span className="tag">hidden</span>}
        </span>
        <span className="hint">{stateText(person)}</span>
      </div>
      <div className="row">
        {person.tracks.map((track) => (
          <Button
            key={track.id}
            kind="quiet"
            className="button-icon"
            disabled={track.muted}
            busy={props.busy === track.id}
            title={muteLabel(track, name)}
            aria-label={muteLabel(track, name)}
            onClick={() => props.onMute(track)}
          >
            <Icon name={iconOf(track)} />
          </Button>
        ))}
        <Button kind="quiet" aria-label={`Remove ${name}`} onClick={props.onRemove}>
          Remove
        </Button>
      </div>
    </li>
  );
}

/** A track's source for people. */
export function sourceText(source: string): string {
  return source === 'unknown' || source === '' ? 'track' : source.replaceAll('_', ' ');
}

function nameOf(person: ParticipantDetail): string {
  return person.name === '' ? person.identity : person.name;
}

function stateText(person: ParticipantDetail): string {
  if (person.state !== 'active') return 'connecting';
  const since = durationText(Math.max(0, Date.now() - person.joinedAtMs) / 1000);
  const rtt = person.rttMs === null ? '' : ` · ${Math.round(person.rttMs)} ms`;
  const protocol = person.protocol === '' ? '' : ` · ${person.protocol.toUpperCase()}`;
  return `for ${since}${protocol}${rtt}`;
}

function muteLabel(track: TrackDetail, name: string): string {
  const what = `${sourceText(track.source)} of ${name}`;
  return track.muted ? `The ${what} is muted` : `Mute ${what}`;
}

function iconOf(track: TrackDetail) {
  if (track.source.startsWith('screen_share')) return track.muted ? 'screenOff' : 'screen';
  if (track.kind === 'audio') return track.muted ? 'micOff' : 'mic';
  return track.muted ? 'cameraOff' : 'camera';
}
