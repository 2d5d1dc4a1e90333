/**
 * The page: which place is shown for which address.
 *
 * End-to-end tests find things by role and accessible name (the buttons "Join", "Leave",
 * "Mute microphone"/"Unmute microphone", "Stop camera"/"Start camera", "Share screen"/"Stop
 * sharing", "Chat", "Participants", "Settings"; the text boxes "Your name", "Message"). Where a
 * name cannot do, there are these test ids:
 *
 * - `tile`: a participant's picture, with `data-identity`, `data-source` (`camera` or
 *   `screen_share`), `data-local` (`true`/`false`) and `data-state` (`live`, `muted`, `loading`,
 *   `paused` for bandwidth);
 * - `room`: the call, with `data-state` (`connecting`, `connected`, `reconnecting`) and
 *   `data-room`;
 * - `left`: the page after a call, with `data-reason`;
 * - `preview`: the lobby's camera picture, `mic-level`: its meter, with `data-level` from 0 to 100;
 * - `device-problem`: a refused, absent or busy device, with `data-kind` and `data-problem`;
 * - `invite-url`: a new invite link, `key-secret`: a new API key's secret.
 */
import { lazy, Suspense } from 'react';
import { CallPage } from '../lobby/CallPage.tsx';
import { Loading } from '../ui/Loading.tsx';
import { LoginPage } from './LoginPage.tsx';
import type { Route } from './route.ts';
import { SetupPage } from './SetupPage.tsx';
import { StartPage } from './StartPage.tsx';
import { RequireAdmin } from './session.tsx';
import { UnknownPage } from './UnknownPage.tsx';
import { useRoute } from './useRoute.ts';

const CheckPage = lazy(async () => ({
  default: (await import('../check/CheckPage.tsx')).CheckPage,
}));
const AdminPage = lazy(() => import('../admin/AdminPage.tsx'));

export function App() {
  return <Suspense fallback={<Loading what="page" />}>{place(useRoute())}</Suspense>;
}

function place(route: Route) {
  switch (route.kind) {
    case 'start':
      return <StartPage />;
    case 'join':
      return <CallPage key={route.token} source={{ kind: 'invite', token: route.token }} />;
    case 'check':
      if (route.token !== null) return <CheckPage key={route.token} token={route.token} />;
      return <RequireAdmin route={route}>{() => <CheckPage token={null} />}</RequireAdmin>;
    case 'setup':
      return <SetupPage code={route.code} />;
    case 'login':
      return <LoginPage next={route.next} />;
    case 'admin':
      return (
        <RequireAdmin route={route}>
          {(session) => <AdminPage tab={route.tab} session={session} />}
        </RequireAdmin>
      );
    case 'room':
      return (
        <RequireAdmin route={route}>
          {(session) => (
            <CallPage
              key={route.room}
              source={{ kind: 'admin', room: route.room, serverName: session.serverName }}
            />
          )}
        </RequireAdmin>
      );
    case 'unknown':
      return <UnknownPage />;
  }
}
