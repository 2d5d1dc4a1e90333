import { useId } from 'react';
import { type InviteForm, SIGHTS } from './inviteForm.ts';
import type { RoomCamera } from './roomCameras.ts';

/** Which cameras guests see: all, none, or some of those in the room. */
export function InviteCameras(props: {
  form: InviteForm;
  /** Those of the room; `null` while they are not known. */
  cameras: readonly RoomCamera[] | null;
  change: (changed: Partial<InviteForm>) => void;
}) {
  const { form, cameras, change } = props;
  const id = useId();

  function choose(camera: string, chosen: boolean) {
    const others = form.chosen.filter((other) => other !== camera);
    change({ chosen: chosen ? [...others, camera] : others });
  }

  return (
    <>
      <fieldset className="choice">
        <legend>Guests see</legend>
        {SIGHTS.map(({ value, label }) => (
          <label key={value}>
            <input
              type="radio"
              name={`${id}-sight`}
              checked={form.sight === value}
              onChange={() => change({ sight: value })}
            />
            {label}
          </label>
        ))}
      </fieldset>
      {form.sight === 'some' && cameras !== null && (
        <fieldset className="choice choice-of">
          <legend className="visually-hidden">Cameras that guests see</legend>
          {cameras.length === 0 && (
            <p className="hint" role="status">
              {form.room.trim() === ''
                ? 'Choose a room first.'
                : 'There is no camera in this room.'}
            </p>
          )}
          {cameras.map((camera) => (
            <label key={camera.id}>
              <input
                type="checkbox"
                checked={form.chosen.includes(camera.id)}
                onChange={(event) => choose(camera.id, event.target.checked)}
              />
              <span>{camera.name}</span>
            </label>
          ))}
        </fieldset>
      )}
    </>
  );
}
