import { useEffect } from 'react';
import { Failure } from '../ui/Failure.tsx';
import { Loading } from '../ui/Loading.tsx';
import { hrefOf } from './route.ts';
import { Shell } from './Shell.tsx';
import { useSession } from './session.tsx';
import { replaceRoute } from './useRoute.ts';

/** Where somebody lands without an invite link. */
export function StartPage() {
  const [state, retry] = useSession();
  const signedIn = state.kind === 'ready' && state.session.signedIn;

  useEffect(() => {
    if (signedIn) replaceRoute({ kind: 'admin', tab: 'rooms' });
  }, [signedIn]);

  if (state.kind === 'loading' || signedIn) return <Loading what="page" />;
  if (state.kind === 'failed') {
    return <Failure title="No connection" text={state.text} onRetry={retry} />;
  }
  return (
    <Shell title={state.session.serverName}>
      <h1>You need an invite link</h1>
      <p>
        Calls on this server are joined by a link. Ask the person who invited you to send it, then
        open it here.
      </p>
      {state.session.passwordSet ? (
        <p>
          Do you run this server?{' '}
          <a href={hrefOf({ kind: 'login', next: null })}>Sign in as admin</a>
        </p>
      ) : (
        <p>
          Do you run this server? It has no password yet: open the admin link that it printed when
          it started, or run <code>umbrella admin-link</code> to get a new one.
        </p>
      )}
    </Shell>
  );
}
