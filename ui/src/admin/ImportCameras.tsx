import { type FormEvent, useId, useState } from 'react';
import type { ImportedCameras } from '../api/cameraTypes.ts';
import { api } from '../api/client.ts';
import { Button } from '../ui/Button.tsx';
import { Dialog } from '../ui/Dialog.tsx';
import { ErrorNote, InfoNote } from '../ui/Notes.tsx';
import { useAction } from './useData.ts';

type Props = { open: boolean; onAdded: () => void; onClose: () => void };

/** Takes the cameras of another program over. */
export function ImportCameras(props: Props) {
  const [done, setDone] = useState<ImportedCameras | null>(null);

  function close() {
    setDone(null);
    props.onClose();
  }

  return (
    <Dialog open={props.open} title="Import from go2rtc" onClose={close}>
      {done === null ? (
        <ImportForm
          onDone={(imported) => {
            setDone(imported);
            props.onAdded();
          }}
          onCancel={close}
        />
      ) : (
        <Done imported={done} onClose={close} />
      )}
    </Dialog>
  );
}

function ImportForm(props: { onDone: (imported: ImportedCameras) => void; onCancel: () => void }) {
  const [text, setText] = useState('');
  const [room, setRoom] = useState('');
  const [problem, setProblem] = useState<string | null>(null);
  const { busy, error, run } = useAction();
  const id = useId();

  async function submit(event: FormEvent) {
    event.preventDefault();
    const missing =
      text.trim() === ''
        ? 'Paste the text of go2rtc.yaml.'
        : room.trim() === ''
          ? 'Say in which room the cameras are to be seen.'
          : null;
    setProblem(missing);
    if (missing !== null) return;
    await run('import', async () =>
      props.onDone(await api.importCameras({ room: room.trim(), text })),
    );
  }

  return (
    <form className="stack" onSubmit={submit} noValidate>
      <div className="field">
        <label htmlFor={`${id}-text`}>The text of go2rtc.yaml</label>
        <textarea
          id={`${id}-text`}
          rows={8}
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          aria-describedby={`${id}-hint`}
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        <p className="hint" id={`${id}-hint`}>
          Of its streams, those are taken whose source is a camera’s address (rtsp://).
        </p>
      </div>
      <div className="field">
        <label htmlFor={`${id}-room`}>Room</label>
        <input
          id={`${id}-room`}
          maxLength={64}
          autoComplete="off"
          value={room}
          onChange={(event) => setRoom(event.target.value)}
        />
      </div>
      {(problem ?? error) !== null && <ErrorNote>{problem ?? error}</ErrorNote>}
      <div className="row row-end">
        <Button onClick={props.onCancel}>Cancel</Button>
        <Button kind="primary" type="submit" busy={busy !== null}>
          Import
        </Button>
      </div>
    </form>
  );
}

function Done({ imported, onClose }: { imported: ImportedCameras; onClose: () => void }) {
  const { added, skipped } = imported;
  return (
    <>
      <InfoNote>
        {added.length === 0 ? 'No camera was added.' : `Added: ${added.join(', ')}.`}
      </InfoNote>
      {skipped.length > 0 && (
        <ul className="plain-list" aria-label="Left out">
          {skipped.map(({ name, why }) => (
            <li key={`${name} ${why}`} className="refusal">
              <strong>{name}</strong>
              <span className="hint">Left out: {why}</span>
            </li>
          ))}
        </ul>
      )}
      <div className="row row-end">
        <Button kind="primary" onClick={onClose}>
          Done
        </Button>
      </div>
    </>
  );
}
