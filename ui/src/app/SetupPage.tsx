import { type FormEvent, useId, useState } from 'react';
import { api } from '../api/client.ts';
import { errorText } from '../api/errors.ts';
import { Button } from '../ui/Button.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import { PASSWORD_MAX, PASSWORD_MIN, passwordProblem } from './password.ts';
import { Shell } from './Shell.tsx';
import { replaceRoute } from './useRoute.ts';

/** The one-time link's page: the operator chooses the admin password. */
export function SetupPage(props: { code: string }) {
  const [password, setPassword] = useState('');
  const [repeated, setRepeated] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const id = useId();

  async function submit(event: FormEvent) {
    event.preventDefault();
    const problem = passwordProblem(password, repeated);
    setError(problem);
    if (problem !== null) return;
    setBusy(true);
    try {
      await api.setup({ code: props.code, password });
      replaceRoute({ kind: 'admin', tab: 'rooms' });
    } catch (failure) {
      setError(errorText(failure));
      setBusy(false);
    }
  }

  return (
    <Shell>
      <h1>Set the admin password</h1>
      <p>With it you make rooms and invite links. This link works once.</p>
      <form className="stack" onSubmit={submit}>
        <div className="field">
          <label htmlFor={`${id}-new`}>New password</label>
          <input
            id={`${id}-new`}
            type="password"
            autoComplete="new-password"
            required
            maxLength={PASSWORD_MAX}
            aria-describedby={`${id}-hint`}
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
          <p className="hint" id={`${id}-hint`}>
            At least {PASSWORD_MIN} characters.
          </p>
        </div>
        <div className="field">
          <label htmlFor={`${id}-again`}>Repeat password</label>
          <input
            id={`${id}-again`}
            type="password"
            autoComplete="new-password"
            required
            maxLength={PASSWORD_MAX}
            value={repeated}
            onChange={(event) => setRepeated(event.target.value)}
          />
        </div>
        {error !== null && <ErrorNote>{error}</ErrorNote>}
        <Button kind="primary" type="submit" busy={busy}>
          Set password
        </Button>
      </form>
    </Shell>
  );
}
