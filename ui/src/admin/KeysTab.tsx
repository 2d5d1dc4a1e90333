import { type FormEvent, useId, useState } from 'react';
import { api } from '../api/client.ts';
import type { ApiKey, CreatedKey } from '../api/types.ts';
import { Button } from '../ui/Button.tsx';
import { Confirm } from '../ui/Confirm.tsx';
import { CopyField } from '../ui/CopyField.tsx';
import { Loading } from '../ui/Loading.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import { dateText } from './format.ts';
import { useAction, useData } from './useData.ts';

/** The server's bound. */
const NOTE_MAX = 200;

/** Keys with which programs make tokens. */
export function KeysTab() {
  const keys = useData(api.keys);
  const [made, setMade] = useState<CreatedKey | null>(null);
  const [doomed, setDoomed] = useState<ApiKey | null>(null);
  const removal = useAction();

  async function revoke() {
    if (doomed === null) return;
    const { key } = doomed;
    if (!(await removal.run('revoke', () => api.revokeKey(key)))) return;
    if (made?.key.key === key) setMade(null);
    setDoomed(null);
    await keys.reload();
  }

  return (
    <div className="stack">
      {made === null ? (
        <NewKey
          onMade={(created) => {
            setMade(created);
            void keys.reload();
          }}
        />
      ) : (
        <section className="card stack" aria-label="New API key">
          <h2>New API key</h2>
          <p>Copy the secret now: it is not shown again.</p>
          <CopyField label="Key" value={made.key.key} testId="key-id" />
          <CopyField label="Secret" value={made.secret} testId="key-secret" />
          <div>
            <Button onClick={() => setMade(null)}>Done</Button>
          </div>
        </section>
      )}
      {keys.error !== null && <ErrorNote>{keys.error}</ErrorNote>}
      {keys.value === null && keys.error === null && <Loading what="panel" />}
      {keys.value?.length === 0 && (
        <div className="card empty">
          <p>There are no API keys.</p>
          <p className="hint">Programs that use a client SDK need one to make access tokens.</p>
        </div>
      )}
      {keys.value !== null && keys.value.length > 0 && (
        <ul className="card list" aria-label="API keys">
          {keys.value.map((key) => (
            <KeyRow key={key.key} apiKey={key} onRevoke={() => setDoomed(key)} />
          ))}
        </ul>
      )}
      <Confirm
        open={doomed !== null}
        title="Revoke this API key?"
        text={`Tokens made with ${doomed?.key ?? ''} are refused from now on.`}
        action="Revoke"
        busy={removal.busy !== null}
        error={removal.error}
        onConfirm={() => void revoke()}
        onClose={() => setDoomed(null)}
      />
    </div>
  );
}

function NewKey(props: { onMade: (created: CreatedKey) => void }) {
  const [note, setNote] = useState('');
  const { busy, error, run } = useAction();
  const id = useId();

  async function submit(event: FormEvent) {
    event.preventDefault();
    await run('create', async () => props.onMade(await api.createKey({ note: note.trim() })));
  }

  return (
    <form className="card stack" onSubmit={submit}>
      <div className="field">
        <label htmlFor={id}>New API key</label>
        <div className="copy-row">
          <input
            id={id}
            value={note}
            maxLength={NOTE_MAX}
            placeholder="What it is for"
            autoComplete="off"
            onChange={(event) => setNote(event.target.value)}
          />
          <Button kind="primary" type="submit" busy={busy !== null}>
            Create key
          </Button>
        </div>
      </div>
      {error !== null && <ErrorNote>{error}</ErrorNote>}
    </form>
  );
}

function KeyRow({ apiKey, onRevoke }: { apiKey: ApiKey; onRevoke: () => void }) {
  return (
    <li>
      <div className="list-row">
        <div className="list-text">
          <strong>{apiKey.note === '' ? 'Without a note' : apiKey.note}</strong>
          <span className="hint">
            <code>{apiKey.key}</code> ·{' '}
            {apiKey.configured ? 'set in the configuration' : `since ${dateText(apiKey.createdAt)}`}
          </span>
        </div>
        {!apiKey.configured && (
          <Button kind="quiet" aria-label={`Revoke ${apiKey.key}`} onClick={onRevoke}>
            Revoke
          </Button>
        )}
      </div>
    </li>
  );
}
