import { type FormEvent, useId, useState } from 'react';
import { api } from '../api/client.ts';
import type { RoomSummary } from '../api/types.ts';
import { hrefOf } from '../app/route.ts';
import { Button } from '../ui/Button.tsx';
import { Confirm } from '../ui/Confirm.tsx';
import { Icon } from '../ui/Icon.tsx';
import { Loading } from '../ui/Loading.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import { peopleText } from './format.ts';
import { RoomPeople } from './RoomPeople.tsx';
import { useAction, useData } from './useData.ts';

const REFRESH_MS = 4_000;
/** The server's bound. */
const ROOM_NAME_MAX = 64;

/** The rooms: make, open, look into, delete. */
export function RoomsTab() {
  const rooms = useData(api.rooms, REFRESH_MS);
  const [open, setOpen] = useState<string | null>(null);
  const [doomed, setDoomed] = useState<string | null>(null);
  const removal = useAction();

  async function remove() {
    if (doomed === null) return;
    const done = await removal.run('delete', () => api.deleteRoom(doomed));
    if (!done) return;
    setDoomed(null);
    await rooms.reload();
  }

  return (
    <div className="stack">
      <NewRoom onMade={rooms.reload} />
      {rooms.error !== null && <ErrorNote>{rooms.error}</ErrorNote>}
      {rooms.value === null && rooms.error === null && <Loading what="panel" />}
      {rooms.value?.length === 0 && (
        <div className="card empty">
          <p>There are no rooms yet.</p>
          <p className="hint">Make one above, then send an invite link for it.</p>
        </div>
      )}
      {rooms.value !== null && rooms.value.length > 0 && (
        <ul className="card list" aria-label="Rooms">
          {rooms.value.map((room) => (
            <RoomRow
              key={room.name}
              room={room}
              open={open === room.name}
              onToggle={() => setOpen(open === room.name ? null : room.name)}
              onDelete={() => setDoomed(room.name)}
            />
          ))}
        </ul>
      )}
      <Confirm
        open={doomed !== null}
        title={`Delete “${doomed ?? ''}”?`}
        text="Everybody in the room is sent out, and its invite links stop working."
        action="Delete room"
        busy={removal.busy !== null}
        error={removal.error}
        onConfirm={() => void remove()}
        onClose={() => setDoomed(null)}
      />
    </div>
  );
}

function NewRoom(props: { onMade: () => Promise<void> }) {
  const [name, setName] = useState('');
  const { busy, error, run } = useAction();
  const id = useId();

  async function submit(event: FormEvent) {
    event.preventDefault();
    const done = await run('create', async () => {
      await api.createRoom({ name: name.trim() });
      await props.onMade();
    });
    if (done) setName('');
  }

  return (
    <form className="card stack" onSubmit={submit}>
      <div className="field">
        <label htmlFor={id}>New room</label>
        <div className="copy-row">
          <input
            id={id}
            value={name}
            maxLength={ROOM_NAME_MAX}
            placeholder="Name of the room"
            required
            onChange={(event) => setName(event.target.value)}
          />
          <Button kind="primary" type="submit" busy={busy !== null} disabled={name.trim() === ''}>
            Create room
          </Button>
        </div>
      </div>
      {error !== null && <ErrorNote>{error}</ErrorNote>}
    </form>
  );
}

function RoomRow(props: {
  room: RoomSummary;
  open: boolean;
  onToggle: () => void;
  onDelete: () => void;
}) {
  const { room, open } = props;
  return (
    <li>
      <div className="list-row">
        <div className="list-text">
          <strong>{room.name}</strong>
          <span className="hint">
            {peopleText(room.participants)}
            {room.publishers > 0 && `, ${room.publishers} sending`}
            {!room.permanent && ' · goes away when empty'}
          </span>
        </div>
        <div className="row">
          <a
            className="button button-plain"
            href={hrefOf({ kind: 'room', room: room.name })}
            aria-label={`Open ${room.name}`}
          >
            Open
          </a>
          <Button
            kind="quiet"
            aria-expanded={open}
            aria-label={`People in ${room.name}`}
            onClick={props.onToggle}
          >
            <Icon name="people" /> {room.participants}
          </Button>
          <Button kind="quiet" aria-label={`Delete ${room.name}`} onClick={props.onDelete}>
            Delete
          </Button>
        </div>
      </div>
      {open && <RoomPeople room={room.name} />}
    </li>
  );
}
