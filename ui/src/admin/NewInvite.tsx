import { type FormEvent, useId, useState } from 'react';
import { api } from '../api/client.ts';
import type { CreatedInvite } from '../api/types.ts';
import { Button } from '../ui/Button.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import { InviteCameras } from './InviteCameras.tsx';
import { EXPIRIES, FIRST_INVITE, type InviteForm, ROLES, readInviteForm } from './inviteForm.ts';
import type { RoomCamera } from './roomCameras.ts';
import { useAction, useData } from './useData.ts';

/** The form for a new invite link. */
export function NewInvite(props: {
  /** Of all rooms; `null` while they are not known. */
  cameras: readonly RoomCamera[] | null;
  onMade: (created: CreatedInvite) => void;
}) {
  const rooms = useData(api.rooms);
  const [form, setForm] = useState<InviteForm>(FIRST_INVITE);
  const [problem, setProblem] = useState<string | null>(null);
  const { busy, error, run } = useAction();
  const id = useId();
  const room = form.room.trim();
  const cameras = props.cameras?.filter((camera) => camera.room === room) ?? null;

  const change = (changed: Partial<InviteForm>) => {
    setProblem(null);
    setForm((before) => ({ ...before, ...changed }));
  };

  async function submit(event: FormEvent) {
    event.preventDefault();
    const read = readInviteForm(form, cameras ?? []);
    setProblem(read.ok ? null : read.problem);
    if (!read.ok) return;
    await run('create', async () => props.onMade(await api.createInvite(read.invite)));
  }

  return (
    <form className="card stack" onSubmit={submit} noValidate aria-label="New invite">
      <h2>New invite link</h2>
      <div className="form-grid">
        <div className="field">
          <label htmlFor={`${id}-room`}>Room</label>
          <input
            id={`${id}-room`}
            list={`${id}-rooms`}
            maxLength={64}
            placeholder="An existing room or a new name"
            autoComplete="off"
            value={form.room}
            onChange={(event) => change({ room: event.target.value })}
          />
          <datalist id={`${id}-rooms`}>
            {rooms.value?.map((room) => (
              <option key={room.name} value={room.name} />
            ))}
          </datalist>
        </div>
        <div className="field">
          <label htmlFor={`${id}-expiry`}>Ends after</label>
          <select
            id={`${id}-expiry`}
            value={form.expiry}
            onChange={(event) => change({ expiry: event.target.value })}
          >
            {EXPIRIES.map(({ value, label }) => (
              <option key={label} value={value}>
                {label}
              </option>
            ))}
          </select>
        </div>
        <div className="field">
          <label htmlFor={`${id}-uses`}>Number of joins</label>
          <input
            id={`${id}-uses`}
            inputMode="numeric"
            placeholder="Any number"
            autoComplete="off"
            value={form.uses}
            onChange={(event) => change({ uses: event.target.value })}
          />
        </div>
      </div>
      <fieldset className="choice">
        <legend>Guests may</legend>
        {ROLES.map(({ value, label, text }) => (
          <label key={value}>
            <input
              type="radio"
              name={`${id}-role`}
              checked={form.role === value}
              onChange={() => change({ role: value })}
            />
            <span>
              {label} <span className="hint">{text}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <InviteCameras form={form} cameras={cameras} change={change} />
      {(problem ?? error) !== null && <ErrorNote>{problem ?? error}</ErrorNote>}
      <div>
        <Button kind="primary" type="submit" busy={busy !== null}>
          Create invite
        </Button>
      </div>
    </form>
  );
}
