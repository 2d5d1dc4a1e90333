import { useCallback, useEffect, useState } from 'react';
import { api, CallError } from '../api/client.ts';
import { errorText } from '../api/errors.ts';
import type { InviteInfo } from '../api/types.ts';
import { hrefOf } from '../app/route.ts';
import { Shell } from '../app/Shell.tsx';
import { navigate } from '../app/useRoute.ts';
import { Failure } from '../ui/Failure.tsx';
import { Loading } from '../ui/Loading.tsx';
import { CallStage } from './CallStage.tsx';

/** How somebody came to a room: by an invite link, or as the admin. */
export type CallSource =
  | { kind: 'invite'; token: string }
  | { kind: 'admin'; room: string; serverName: string };

type State =
  | { kind: 'loading' }
  | { kind: 'ready'; info: InviteInfo }
  | { kind: 'closed'; text: string }
  | { kind: 'failed'; text: string };

/** From the link to the end of the call. */
export function CallPage({ source }: { source: CallSource }) {
  const [state, setState] = useState<State>({ kind: 'loading' });

  const load = useCallback(() => {
    setState({ kind: 'loading' });
    roomInfo(source).then(
      (info) => setState({ kind: 'ready', info }),
      (error) => setState({ kind: isClosed(error) ? 'closed' : 'failed', text: errorText(error) }),
    );
  }, [source]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the source lives as long as this page
  useEffect(load, []);

  switch (state.kind) {
    case 'loading':
      return <Loading what="page" text="Looking up the invite…" />;
    case 'failed':
      return <Failure title="No connection" text={state.text} onRetry={load} />;
    case 'closed':
      return (
        <Shell>
          <h1>This invite does not work</h1>
          <p role="alert">{state.text}</p>
          <p>Ask the person who invited you for a new link.</p>
          <p>
            <a href={hrefOf({ kind: 'start' })}>Go to the start page</a>
          </p>
        </Shell>
      );
    case 'ready':
      return <CallStage source={source} info={state.info} onHome={() => goHome(source)} />;
  }
}

async function roomInfo(source: CallSource): Promise<InviteInfo> {
  if (source.kind === 'invite') return api.invite(source.token);
  const detail = await api.room(source.room);
  return {
    room: detail.summary.name,
    canPublish: true,
    canModerate: true,
    participants: detail.summary.participants,
    serverName: source.serverName,
  };
}

/** The link itself is at fault, so trying again is of no use. */
function isClosed(error: unknown): boolean {
  return (
    error instanceof CallError &&
    ['not_found', 'expired', 'used_up', 'forbidden', 'invalid'].includes(error.code)
  );
}

function goHome(source: CallSource): void {
  navigate(source.kind === 'admin' ? { kind: 'admin', tab: 'rooms' } : { kind: 'start' });
}
