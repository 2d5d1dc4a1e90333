import { useEffect, useState } from 'react';
import { api } from '../api/client.ts';
import { errorText } from '../api/errors.ts';
import type { AdminSession } from '../api/types.ts';
import { ADMIN_TABS, type AdminTab, hrefOf } from '../app/route.ts';
import { navigate } from '../app/useRoute.ts';
import { Button } from '../ui/Button.tsx';
import { Icon, type IconName } from '../ui/Icon.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import { CamerasTab } from './CamerasTab.tsx';
import { InvitesTab } from './InvitesTab.tsx';
import { KeysTab } from './KeysTab.tsx';
import { RoomsTab } from './RoomsTab.tsx';
import { ServersTab } from './ServersTab.tsx';
import { StatusTab } from './StatusTab.tsx';
import '../styles/admin.css';

const TABS: Record<AdminTab, { label: string; icon: IconName }> = {
  rooms: { label: 'Rooms', icon: 'room' },
  invites: { label: 'Invites', icon: 'link' },
  keys: { label: 'API keys', icon: 'key' },
  cameras: { label: 'Cameras', icon: 'camera' },
  servers: { label: 'Servers', icon: 'servers' },
  status: { label: 'Status', icon: 'quality' },
};

/** The operator's pages. */
export default function AdminPage(props: { tab: AdminTab; session: AdminSession }) {
  const { tab, session } = props;
  useEffect(() => {
    document.title = `${TABS[tab].label} · ${session.serverName}`;
  }, [tab, session]);
  return (
    <div className="admin">
      <header className="admin-head">
        <p className="brand">
          <Icon name="umbrella" /> {session.serverName}
        </p>
        <nav className="tabs" aria-label="Admin pages">
          {ADMIN_TABS.map((name) => (
            <a
              key={name}
              href={hrefOf({ kind: 'admin', tab: name })}
              aria-current={name === tab ? 'page' : undefined}
            >
              <Icon name={TABS[name].icon} /> {TABS[name].label}
            </a>
          ))}
        </nav>
        <SignOut />
      </header>
      <main className="admin-main">
        <h1 className="visually-hidden">{TABS[tab].label}</h1>
        {tabContent(tab)}
      </main>
    </div>
  );
}

function tabContent(tab: AdminTab) {
  switch (tab) {
    case 'rooms':
      return <RoomsTab />;
    case 'invites':
      return <InvitesTab />;
    case 'keys':
      return <KeysTab />;
    case 'cameras':
      return <CamerasTab />;
    case 'servers':
      return <ServersTab />;
    case 'status':
      return <StatusTab />;
  }
}

function SignOut() {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  async function signOut() {
    setBusy(true);
    try {
      await api.logout();
      navigate({ kind: 'start' });
    } catch (failure) {
      setError(errorText(failure));
      setBusy(false);
    }
  }
  return (
    <div className="sign-out">
      {error !== null && <ErrorNote>{error}</ErrorNote>}
      <Button kind="quiet" busy={busy} onClick={() => void signOut()}>
        <Icon name="signOut" /> Sign out
      </Button>
    </div>
  );
}
