import { type ReactNode, useCallback, useEffect, useState } from 'react';
import { api } from '../api/client.ts';
import { errorText } from '../api/errors.ts';
import type { AdminSession } from '../api/types.ts';
import { Failure } from '../ui/Failure.tsx';
import { Loading } from '../ui/Loading.tsx';
import type { Route } from './route.ts';
import { replaceRoute } from './useRoute.ts';

export type SessionState =
  | { kind: 'loading' }
  | { kind: 'ready'; session: AdminSession }
  | { kind: 'failed'; text: string };

/** Asks the server who is looking at the page. */
export function useSession(): [SessionState, () => void] {
  const [state, setState] = useState<SessionState>({ kind: 'loading' });
  const [attempt, setAttempt] = useState(0);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new attempt asks again
  useEffect(() => {
    let current = true;
    setState({ kind: 'loading' });
    api.session().then(
      (session) => current && setState({ kind: 'ready', session }),
      (error) => current && setState({ kind: 'failed', text: errorText(error) }),
    );
    return () => {
      current = false;
    };
  }, [attempt]);

  return [state, useCallback(() => setAttempt((n) => n + 1), [])];
}

/** Shows its children to the admin, and sends everybody else to sign in first. */
export function RequireAdmin(props: {
  route: Route;
  children: (session: AdminSession) => ReactNode;
}) {
  const [state, retry] = useSession();
  const signedOut = state.kind === 'ready' && !state.session.signedIn;
  const { route } = props;

  // biome-ignore lint/correctness/useExhaustiveDependencies: the route's identity changes on each render
  useEffect(() => {
    if (signedOut) replaceRoute({ kind: 'login', next: route });
  }, [signedOut]);

  switch (state.kind) {
    case 'loading':
      return <Loading what="page" />;
    case 'failed':
      return <Failure title="No connection" text={state.text} onRetry={retry} />;
    case 'ready':
      return state.session.signedIn ? props.children(state.session) : null;
  }
}
