import { type FormEvent, useId, useState } from 'react';
import { api } from '../api/client.ts';
import type { AllowedNow } from '../api/trunkTypes.ts';
import { Button } from '../ui/Button.tsx';
import { Choice } from '../ui/Choice.tsx';
import { CopyField } from '../ui/CopyField.tsx';
import { Dialog } from '../ui/Dialog.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import { FIRST_ALLOW, JOIN_EXPIRIES, joinUrls, readAllowForm } from './serverForms.ts';
import { useAction } from './useData.ts';

type Props = { open: boolean; onMade: () => void; onClose: () => void };

/** Makes a join secret and shows it once. */
export function AllowServer(props: Props) {
  const [made, setMade] = useState<AllowedNow | null>(null);

  function close() {
    setMade(null);
    props.onClose();
  }

  return (
    <Dialog
      open={props.open}
      title={made === null ? 'Allow a server to join' : `Join secret for ${made.server.name}`}
      onClose={close}
    >
      {made === null ? (
        <AllowForm
          onMade={(created) => {
            setMade(created);
            props.onMade();
          }}
          onCancel={close}
        />
      ) : (
        <Secret made={made} onDone={close} />
      )}
    </Dialog>
  );
}

function AllowForm(props: { onMade: (made: AllowedNow) => void; onCancel: () => void }) {
  const [form, setForm] = useState(FIRST_ALLOW);
  const [problem, setProblem] = useState<string | null>(null);
  const { busy, error, run } = useAction();
  const id = useId();

  const change = (changed: Partial<typeof form>) => {
    setProblem(null);
    setForm((before) => ({ ...before, ...changed }));
  };

  async function submit(event: FormEvent) {
    event.preventDefault();
    const read = readAllowForm(form);
    setProblem(read.ok ? null : read.problem);
    if (!read.ok) return;
    await run('allow', async () => props.onMade(await api.allowServer(read.value)));
  }

  return (
    <form className="stack" onSubmit={submit} noValidate>
      <div className="field">
        <label htmlFor={`${id}-name`}>Its name</label>
        <input
          id={`${id}-name`}
          maxLength={64}
          placeholder="As you call it: Workshop"
          autoComplete="off"
          value={form.name}
          onChange={(event) => change({ name: event.target.value })}
        />
      </div>
      <RoomsField value={form.rooms} onChange={(rooms) => change({ rooms })} />
      <div className="field">
        <label htmlFor={`${id}-expiry`}>It has to join for the first time</label>
        <select
          id={`${id}-expiry`}
          value={form.expiry}
          onChange={(event) => change({ expiry: event.target.value })}
        >
          {JOIN_EXPIRIES.map(({ value, label }) => (
            <option key={label} value={value}>
              {label}
            </option>
          ))}
        </select>
      </div>
      <ModeratorsField value={form.moderate} onChange={(moderate) => change({ moderate })} />
      {(problem ?? error) !== null && <ErrorNote>{problem ?? error}</ErrorNote>}
      <div className="row row-end">
        <Button onClick={props.onCancel}>Cancel</Button>
        <Button kind="primary" type="submit" busy={busy !== null}>
          Make join secret
        </Button>
      </div>
    </form>
  );
}

/** Which rooms are shared. */
export function RoomsField(props: { value: string; onChange: (value: string) => void }) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>Shared rooms</label>
      <input
        id={id}
        placeholder="All rooms"
        autoComplete="off"
        aria-describedby={`${id}-hint`}
        value={props.value}
        onChange={(event) => props.onChange(event.target.value)}
      />
      <p className="hint" id={`${id}-hint`}>
        Names with commas between them; * stands for any characters, as in site-*.
      </p>
    </div>
  );
}

function Secret({ made, onDone }: { made: AllowedNow; onDone: () => void }) {
  const urls = joinUrls(made.urls);
  const [url, setUrl] = useState(urls[0] ?? '');
  const id = useId();
  return (
    <>
      <p>Copy the secret now: it is not shown again. On the other server’s page of servers:</p>
      <ol className="steps">
        <li>
          Under “Join another server”, enter this address:
          {urls.length > 1 && (
            <div className="field">
              <label htmlFor={id}>Choose one that the other server can reach</label>
              <select id={id} value={url} onChange={(event) => setUrl(event.target.value)}>
                {urls.map((choice) => (
                  <option key={choice}>{choice}</option>
                ))}
              </select>
            </div>
          )}
          <CopyField label="Address" value={url} testId="join-url" />
        </li>
        <li>
          Enter this join secret:
          <CopyField label="Join secret" value={made.secret} testId="join-secret" />
        </li>
      </ol>
      <div className="row row-end">
        <Button kind="primary" onClick={onDone}>
          Done
        </Button>
      </div>
    </>
  );
}

/** Whether moderators of the other server have a say here. */
export function ModeratorsField(props: { value: boolean; onChange: (value: boolean) => void }) {
  return (
    <Choice
      label="Its moderators may mute and remove people here"
      checked={props.value}
      onChange={props.onChange}
    />
  );
}
