import { useState } from 'react';
import type { CameraEntry } from '../api/cameraTypes.ts';
import { api } from '../api/client.ts';
import { Button } from '../ui/Button.tsx';
import { Confirm } from '../ui/Confirm.tsx';
import { Dialog } from '../ui/Dialog.tsx';
import { Loading } from '../ui/Loading.tsx';
import { ErrorNote, InfoNote } from '../ui/Notes.tsx';
import { sentence } from '../ui/sentence.ts';
import { CameraForm } from './CameraForm.tsx';
import { TrustCertificate } from './CameraTest.tsx';
import { bitrateText, cameraStateText, soundText, videoText } from './cameraForms.ts';
import { ImportCameras } from './ImportCameras.tsx';
import { StateTag, useCountdown } from './StateTag.tsx';
import { useAction, useData } from './useData.ts';

const REFRESH_MS = 2_000;

/** Cameras in rooms. */
export function CamerasTab() {
  const cameras = useData(api.cameras, REFRESH_MS);
  const [changing, setChanging] = useState<CameraEntry | null>(null);
  const [doomed, setDoomed] = useState<CameraEntry | null>(null);
  const [importing, setImporting] = useState(false);
  const [added, setAdded] = useState<CameraEntry | null>(null);
  const removal = useAction();
  const reload = () => void cameras.reload();

  async function remove() {
    if (doomed === null) return;
    if (!(await removal.run('remove', () => api.removeCamera(doomed.id)))) return;
    setDoomed(null);
    reload();
  }

  return (
    <div className="stack">
      {cameras.error !== null && <ErrorNote>{cameras.error}</ErrorNote>}
      {cameras.value === null && cameras.error === null && <Loading what="panel" />}
      {cameras.value !== null && (
        <CameraList
          entries={cameras.value}
          onChanged={reload}
          onChange={setChanging}
          onRemove={setDoomed}
          onImport={() => setImporting(true)}
        />
      )}
      <section className="card stack" aria-label="Add a camera">
        <h2>Add a camera</h2>
        <CameraForm
          entry={null}
          onDone={(entry) => {
            setAdded(entry);
            reload();
          }}
        />
        {added !== null && (
          <InfoNote>
            {added.name} is in the room {added.room}. It is connected when somebody watches, unless
            it is to stay connected.
          </InfoNote>
        )}
      </section>
      <Dialog
        open={changing !== null}
        title={`Change ${changing?.name ?? ''}`}
        onClose={() => setChanging(null)}
      >
        {changing !== null && (
          <CameraForm
            entry={changing}
            onDone={() => {
              setChanging(null);
              reload();
            }}
            onCancel={() => setChanging(null)}
          />
        )}
      </Dialog>
      <ImportCameras open={importing} onAdded={reload} onClose={() => setImporting(false)} />
      <Confirm
        open={doomed !== null}
        title="Remove this camera?"
        text={`${doomed?.name ?? ''} leaves the room ${doomed?.room ?? ''}, and its password is forgotten.`}
        action="Remove"
        busy={removal.busy !== null}
        error={removal.error}
        onConfirm={() => void remove()}
        onClose={() => setDoomed(null)}
      />
    </div>
  );
}

function CameraList(props: {
  entries: CameraEntry[];
  onChanged: () => void;
  onChange: (entry: CameraEntry) => void;
  onRemove: (entry: CameraEntry) => void;
  onImport: () => void;
}) {
  return (
    <section className="card" aria-label="Cameras">
      <div className="row head-row">
        <h2>Cameras</h2>
        <Button onClick={props.onImport}>Import from go2rtc</Button>
      </div>
      {props.entries.length === 0 && <p className="hint">There are no cameras. Add one below.</p>}
      <ul className="plain-list">
        {props.entries.map((entry) => (
          <CameraRow
            key={entry.id}
            entry={entry}
            onChanged={props.onChanged}
            onChange={() => props.onChange(entry)}
            onRemove={() => props.onRemove(entry)}
          />
        ))}
      </ul>
    </section>
  );
}

function CameraRow(props: {
  entry: CameraEntry;
  onChanged: () => void;
  onChange: () => void;
  onRemove: () => void;
}) {
  const { entry } = props;
  const { text, tone } = cameraStateText(entry);
  const left = useCountdown(entry.retryInS);
  const { busy, error, run } = useAction();
  const waits = entry.state === 'refused' || entry.state === 'reconnecting';
  const { fingerprint } = entry;

  async function act(what: string, call: () => Promise<void>) {
    if (await run(what, call)) props.onChanged();
  }

  return (
    <li data-testid="camera" data-state={entry.state}>
      <div className="list-row">
        <div className="list-text">
          <strong>{entry.name}</strong>
          <span>
            <StateTag text={text} tone={tone} />
            {waits && left !== null && <span className="hint"> again in {left} s</span>}
          </span>
          <Stream entry={entry} />
          <span className="hint">
            Room {entry.room} · {entry.main.address}
            {entry.sub !== null && ' · with a small stream'}
            {entry.transport === 'udp' && ' · by UDP'}
            {!entry.audio && ' · sound is switched off'}
            {entry.alwaysOn && ' · stays connected'}
            {entry.configured && ' · set in the configuration'}
          </span>
          {entry.why !== null && fingerprint === null && (
            <span className="reason">{sentence(entry.why)}</span>
          )}
          {entry.notes.map((note) => (
            <span className="reason" key={note}>
              {sentence(note)}
            </span>
          ))}
        </div>
        <div className="row-actions">
          {waits && (
            <Button
              kind="quiet"
              busy={busy === 'retry'}
              aria-label={`Try ${entry.name} now`}
              onClick={() => void act('retry', () => api.retryCamera(entry.id))}
            >
              Try now
            </Button>
          )}
          {!entry.configured && (
            <>
              <Button kind="quiet" aria-label={`Change ${entry.name}`} onClick={props.onChange}>
                Change
              </Button>
              <Button kind="quiet" aria-label={`Remove ${entry.name}`} onClick={props.onRemove}>
                Remove
              </Button>
            </>
          )}
        </div>
      </div>
      {error !== null && <ErrorNote>{error}</ErrorNote>}
      {fingerprint !== null && !entry.configured && (
        <TrustCertificate
          fingerprint={fingerprint}
          busy={busy === 'confirm'}
          onTrust={() => void act('confirm', () => api.confirmCamera(entry.id, { fingerprint }))}
        />
      )}
      {fingerprint !== null && entry.configured && (
        <p className="reason">
          Nobody vouches for its certificate. If this is the camera’s, write it as pin into the
          configuration: <code className="fingerprint">{fingerprint}</code>
        </p>
      )}
    </li>
  );
}

/** What comes of a camera now. */
function Stream({ entry }: { entry: CameraEntry }) {
  if (entry.video === null) return null;
  return (
    <span className="hint">
      {videoText(entry.video)} · {soundText(entry.sound)}
      {entry.bitrate > 0 && ` · ${bitrateText(entry.bitrate)}`}
      {entry.watched ? ' · watched' : ' · nobody watches'}
    </span>
  );
}
