import { useState } from 'react';
import { api } from '../api/client.ts';
import type { CreatedInvite, Invite } from '../api/types.ts';
import { Button } from '../ui/Button.tsx';
import { Confirm } from '../ui/Confirm.tsx';
import { Loading } from '../ui/Loading.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import { expiryText, usesText } from './format.ts';
import { roleLabel } from './inviteForm.ts';
import { NewInvite } from './NewInvite.tsx';
import { camerasText, type RoomCamera, useRoomCameras } from './roomCameras.ts';
import { ShareInvite } from './ShareInvite.tsx';
import { useAction, useData } from './useData.ts';

const REFRESH_MS = 10_000;

/** Invite links: make, share, revoke. */
export function InvitesTab() {
  const invites = useData(api.invites, REFRESH_MS);
  const cameras = useRoomCameras();
  const [made, setMade] = useState<CreatedInvite | null>(null);
  const [doomed, setDoomed] = useState<Invite | null>(null);
  const removal = useAction();

  async function revoke() {
    if (doomed === null) return;
    const { id } = doomed;
    if (!(await removal.run('revoke', () => api.revokeInvite(id)))) return;
    if (made?.invite.id === id) setMade(null);
    setDoomed(null);
    await invites.reload();
  }

  return (
    <div className="stack">
      {made === null ? (
        <NewInvite
          cameras={cameras}
          onMade={(created) => {
            setMade(created);
            void invites.reload();
          }}
        />
      ) : (
        <ShareInvite created={made} onDone={() => setMade(null)} />
      )}
      {invites.error !== null && <ErrorNote>{invites.error}</ErrorNote>}
      {invites.value === null && invites.error === null && <Loading what="panel" />}
      {invites.value?.length === 0 && (
        <div className="card empty">
          <p>There are no invite links.</p>
          <p className="hint">Whoever opens one can join its room without an account.</p>
        </div>
      )}
      {invites.value !== null && invites.value.length > 0 && (
        <ul className="card list" aria-label="Invite links">
          {invites.value.map((invite) => (
            <InviteRow
              key={invite.id}
              invite={invite}
              cameras={cameras}
              onRevoke={() => setDoomed(invite)}
            />
          ))}
        </ul>
      )}
      <Confirm
        open={doomed !== null}
        title="Revoke this invite?"
        text={`Nobody can join ${doomed?.room ?? ''} by this link any more. Who is in stays in.`}
        action="Revoke"
        busy={removal.busy !== null}
        error={removal.error}
        onConfirm={() => void revoke()}
        onClose={() => setDoomed(null)}
      />
    </div>
  );
}

function InviteRow(props: {
  invite: Invite;
  cameras: readonly RoomCamera[] | null;
  onRevoke: () => void;
}) {
  const { invite, onRevoke } = props;
  const there = props.cameras?.filter(({ room }) => room === invite.room) ?? null;
  const sight = camerasText(invite.cameras, there);
  const over =
    invite.usesLeft === 0 || (invite.expiresAt !== null && invite.expiresAt * 1000 <= Date.now());
  return (
    <li>
      <div className={over ? 'list-row over' : 'list-row'}>
        <div className="list-text">
          <strong>{invite.room}</strong>
          <span className="hint">
            {roleLabel(invite.role)} · {expiryText(invite.expiresAt, Date.now() / 1000)} ·{' '}
            {usesText(invite.usesLeft, invite.uses)}
            {sight !== '' && ` · ${sight}`}
          </span>
        </div>
        <Button kind="quiet" aria-label={`Revoke the invite to ${invite.room}`} onClick={onRevoke}>
          Revoke
        </Button>
      </div>
    </li>
  );
}
