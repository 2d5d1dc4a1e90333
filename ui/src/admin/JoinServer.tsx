import { type FormEvent, useEffect, useId, useRef, useState } from 'react';
import { api } from '../api/client.ts';
import { Button } from '../ui/Button.tsx';
import { Choice } from '../ui/Choice.tsx';
import { ErrorNote, InfoNote } from '../ui/Notes.tsx';
import { ModeratorsField, RoomsField } from './AllowServer.tsx';
import { FIRST_JOIN, isPlain, readJoinForm } from './serverForms.ts';
import { useAction } from './useData.ts';

/** An address that was chosen elsewhere on the page; a new object each time. */
export type Chosen = { url: string };

/** The form to join another server by its secret. */
export function JoinServer(props: { chosen: Chosen | null; onAdded: () => void }) {
  const [form, setForm] = useState(FIRST_JOIN);
  const [problem, setProblem] = useState<string | null>(null);
  const [joined, setJoined] = useState<string | null>(null);
  const { busy, error, run } = useAction();
  const id = useId();
  const secret = useRef<HTMLInputElement>(null);

  const { chosen } = props;
  useEffect(() => {
    if (chosen === null) return;
    setProblem(null);
    setJoined(null);
    // A secret that was typed is for the server that was meant then.
    setForm((before) => ({ ...before, url: chosen.url, secret: '', insecure: false }));
    secret.current?.focus();
  }, [chosen]);

  const change = (changed: Partial<typeof form>) => {
    setProblem(null);
    setJoined(null);
    setForm((before) => ({ ...before, ...changed }));
  };

  async function submit(event: FormEvent) {
    event.preventDefault();
    const read = readJoinForm(form);
    setProblem(read.ok ? null : read.problem);
    if (!read.ok) return;
    await run('join', async () => {
      const entry = await api.addTrunk(read.value);
      setForm(FIRST_JOIN);
      setJoined(entry.url);
      props.onAdded();
    });
  }

  return (
    <form className="card stack" onSubmit={submit} noValidate aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>Join another server</h2>
      <div className="form-grid">
        <div className="field">
          <label htmlFor={`${id}-url`}>Its address</label>
          <input
            id={`${id}-url`}
            inputMode="url"
            placeholder="https://meet.example.org"
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
            value={form.url}
            onChange={(event) => change({ url: event.target.value })}
          />
        </div>
        <div className="field">
          <label htmlFor={`${id}-secret`}>Join secret</label>
          <input
            id={`${id}-secret`}
            ref={secret}
            type="password"
            placeholder="umbrella-join-…"
            autoComplete="off"
            aria-describedby={`${id}-secret-hint`}
            value={form.secret}
            onChange={(event) => change({ secret: event.target.value })}
          />
          <p className="hint" id={`${id}-secret-hint`}>
            Made there by “Allow a server to join”.
          </p>
        </div>
        <RoomsField value={form.rooms} onChange={(rooms) => change({ rooms })} />
      </div>
      <ModeratorsField value={form.moderate} onChange={(moderate) => change({ moderate })} />
      {isPlain(form.url) && (
        <Choice
          label="Without encryption"
          hint="Whoever is on the way can listen. Only for tests."
          checked={form.insecure}
          onChange={(insecure) => change({ insecure })}
        />
      )}
      {(problem ?? error) !== null && <ErrorNote>{problem ?? error}</ErrorNote>}
      {joined !== null && (
        <InfoNote>{joined} is dialled from now on: “Joined servers” shows how that goes.</InfoNote>
      )}
      <div>
        <Button kind="primary" type="submit" busy={busy !== null}>
          Join
        </Button>
      </div>
    </form>
  );
}
