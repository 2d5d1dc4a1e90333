import { type FormEvent, useId, useState } from 'react';
import { api } from '../api/client.ts';
import { errorText } from '../api/errors.ts';
import { Button } from '../ui/Button.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import type { Route } from './route.ts';
import { Shell } from './Shell.tsx';
import { replaceRoute } from './useRoute.ts';

/** Signs the admin in and goes on to where they wanted to be. */
export function LoginPage(props: { next: Route | null }) {
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const id = useId();

  async function submit(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await api.login({ password });
      replaceRoute(props.next ?? { kind: 'admin', tab: 'rooms' });
    } catch (failure) {
      setError(errorText(failure));
      setBusy(false);
    }
  }

  return (
    <Shell>
      <h1>Sign in</h1>
      <form className="stack" onSubmit={submit}>
        <div className="field">
          <label htmlFor={id}>Admin password</label>
          <input
            id={id}
            type="password"
            autoComplete="current-password"
            required
            maxLength={1024}
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
        </div>
        {error !== null && <ErrorNote>{error}</ErrorNote>}
        <Button kind="primary" type="submit" busy={busy}>
          Sign in
        </Button>
      </form>
      <p className="hint">
        Forgotten? Run <code>umbrella admin-link</code> on the server: its link lets you set a new
        password.
      </p>
    </Shell>
  );
}
