import { type FormEvent, useEffect, useId, useRef, useState } from 'react';
import { apiUrl } from '../api/prefix.ts';
import type { InviteInfo } from '../api/types.ts';
import { Button } from '../ui/Button.tsx';
import { Icon } from '../ui/Icon.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import type { OwnMedia } from './CallStage.tsx';
import { type Choices, NAME_MAX } from './choices.ts';
import { LobbyDevices, LobbyPreview } from './LobbyDevices.tsx';
import { type Preview, usePreview } from './usePreview.ts';

type Props = {
  info: InviteInfo;
  choices: Choices;
  onChange: (changed: Partial<Choices>) => void;
  /** Rejects if the server does not let the person in. */
  onJoin: (media: OwnMedia) => Promise<void>;
  problem: string | null;
};

/** Before the call: see and hear oneself, say one's name, one tap to join. */
export function Lobby({ info, choices, onChange, onJoin, problem }: Props) {
  const preview = usePreview(info.canPublish, choices);
  const [busy, setBusy] = useState(false);
  const [unnamed, setUnnamed] = useState(false);
  const nameInput = useRef<HTMLInputElement>(null);
  const id = useId();

  async function submit(event: FormEvent) {
    event.preventDefault();
    if (choices.name.trim() === '') {
      setUnnamed(true);
      nameInput.current?.focus();
      return;
    }
    setBusy(true);
    try {
      // Who is quicker than the camera wants to be seen all the same.
      await preview.settled();
      await onJoin(preview.release());
    } catch {
      // The page above says why; here the devices come back for the next attempt.
      setBusy(false);
      restart(preview, choices);
    }
  }

  return (
    <main className="page lobby">
      <header className="lobby-head">
        <p className="brand">
          <Icon name="umbrella" /> {info.serverName}
        </p>
        <h1>{info.room}</h1>
        <p className="hint">{presenceText(info.participants)}</p>
      </header>
      <form className="lobby-body" onSubmit={submit}>
        {info.canPublish ? (
          <LobbyPreview preview={preview} choices={choices} onChange={onChange} />
        ) : (
          <div className="card watch-only">
            <Icon name="speaker" />
            <p>This link is for watching and listening: the others will not see or hear you.</p>
          </div>
        )}
        <div className="card stack lobby-join">
          <div className="field">
            <label htmlFor={id}>Your name</label>
            <input
              ref={nameInput}
              id={id}
              type="text"
              autoComplete="name"
              enterKeyHint="go"
              maxLength={NAME_MAX}
              placeholder="How the others see you"
              value={choices.name}
              aria-invalid={unnamed || undefined}
              aria-describedby={unnamed ? `${id}-problem` : undefined}
              onChange={(event) => {
                setUnnamed(false);
                onChange({ name: event.target.value });
              }}
            />
            {unnamed && (
              <p className="field-problem" id={`${id}-problem`} role="alert">
                Please enter a name.
              </p>
            )}
          </div>
          {problem !== null && <ErrorNote>{problem}</ErrorNote>}
          <Button kind="primary" type="submit" busy={busy} className="button-wide">
            Join
          </Button>
          {info.canPublish && <WithoutNote preview={preview} />}
          <SecureNote />
        </div>
        {info.canPublish && (
          <LobbyDevices preview={preview} choices={choices} onChange={onChange} />
        )}
      </form>
    </main>
  );
}

/** Says what joining now means, so that nobody is surprised to be mute. */
function WithoutNote({ preview }: { preview: Preview }) {
  const seen = preview.camera.kind === 'live';
  const heard = preview.microphone.kind === 'live';
  if (seen && heard) return null;
  if (preview.camera.kind === 'asking' || preview.microphone.kind === 'asking') return null;
  const missing = seen ? 'microphone' : heard ? 'camera' : 'camera and microphone';
  return <p className="hint">You join with {missing} off. You can still watch and listen.</p>;
}

/** Over plain HTTP there are no devices: show the way to the secure address. */
function SecureNote() {
  if (isSecureContext) return null;
  return (
    <p className="hint">
      To use camera and microphone, open this link with <code>https</code>.{' '}
      <a href={apiUrl('/trust')} target="_blank" rel="noreferrer">
        How to trust this server
      </a>
    </p>
  );
}

/** After a refused attempt to join, what was on before is started once more. */
function restart(preview: Preview, choices: Choices): void {
  if (preview.camera.kind === 'live') void preview.start('camera', choices.cameraId);
  if (preview.microphone.kind === 'live') void preview.start('microphone', choices.microphoneId);
}

function presenceText(participants: number): string {
  if (participants === 0) return 'Nobody is here yet.';
  return participants === 1 ? 'One person is here.' : `${participants} people are here.`;
}

/** Shows a camera's picture, mirrored as people are used to. */
export function SelfView({ track }: { track: MediaStreamTrack }) {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const element = video.current;
    if (element === null) return;
    element.srcObject = new MediaStream([track]);
    return () => {
      element.srcObject = null;
    };
  }, [track]);
  return (
    <video ref={video} data-testid="preview" className="mirrored" autoPlay muted playsInline />
  );
}
