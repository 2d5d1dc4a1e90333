import { type FormEvent, type ReactNode, useId, useState } from 'react';
import type { CameraEntry, CameraTested } from '../api/cameraTypes.ts';
import { api } from '../api/client.ts';
import { Button } from '../ui/Button.tsx';
import { Choice } from '../ui/Choice.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import { CameraTestResult } from './CameraTest.tsx';
import {
  FIRST_CAMERA,
  type CameraForm as Form,
  formOf,
  pinsOf,
  readCameraForm,
  readStream,
  splitAddress,
} from './cameraForms.ts';
import { useAction, useData } from './useData.ts';

type Change = (changed: Partial<Form>) => void;

/** The form to add a camera, or to change one. */
export function CameraForm(props: {
  /** `null`: a new one. */
  entry: CameraEntry | null;
  onDone: (entry: CameraEntry) => void;
  onCancel?: () => void;
}) {
  const { entry } = props;
  const [form, setForm] = useState(entry === null ? FIRST_CAMERA : formOf(entry));
  const [problem, setProblem] = useState<string | null>(null);
  const [tested, setTested] = useState<CameraTested | null>(null);
  const { busy, error, run } = useAction();

  const change: Change = (changed) => {
    setProblem(null);
    setForm((before) => ({ ...before, ...changed }));
  };

  async function submit(event: FormEvent) {
    event.preventDefault();
    const read = readCameraForm(form, entry);
    setProblem(read.ok ? null : read.problem);
    if (!read.ok) return;
    await run('save', async () => {
      const saved =
        entry === null
          ? await api.addCamera(read.value)
          : await api.changeCamera(entry.id, read.value);
      if (entry === null) setForm(FIRST_CAMERA);
      setTested(null);
      props.onDone(saved);
    });
  }

  async function test() {
    const stream = readStream(form, entry);
    setProblem(stream.ok ? null : stream.problem);
    setTested(null);
    if (!stream.ok) return;
    await run('test', async () => {
      const { udp, audio, pins } = form;
      const answer = await api.testCamera({
        id: entry?.id ?? null,
        stream: stream.value,
        transport: udp ? 'udp' : 'tcp',
        audio,
        pins: pinsOf(pins),
      });
      setTested(answer);
    });
  }

  function trust(fingerprint: string) {
    change({ pins: [...pinsOf(form.pins), fingerprint].join(', ') });
    setTested(null);
  }

  return (
    <form className="stack" onSubmit={submit} noValidate>
      <Source form={form} entry={entry} change={change} />
      <Place form={form} change={change} />
      <More form={form} change={change} />
      {(problem ?? error) !== null && <ErrorNote>{problem ?? error}</ErrorNote>}
      {busy === 'test' && (
        <p className="hint" role="status">
          Looking at the camera. This takes twelve seconds at most.
        </p>
      )}
      {tested !== null && <CameraTestResult tested={tested} onTrust={trust} />}
      <div className="row row-end">
        {props.onCancel !== undefined && <Button onClick={props.onCancel}>Cancel</Button>}
        <Button busy={busy === 'test'} disabled={busy !== null} onClick={() => void test()}>
          Test
        </Button>
        <Button kind="primary" type="submit" busy={busy === 'save'} disabled={busy !== null}>
          {entry === null ? 'Add camera' : 'Save'}
        </Button>
      </div>
    </form>
  );
}

function Source(props: { form: Form; entry: CameraEntry | null; change: Change }) {
  const { form, entry, change } = props;

  /** Whoever pastes an address with its password should not have to show it. */
  function hide() {
    const { address, user, password } = splitAddress(form.address.trim());
    if (user === null) return;
    change({ address, user, ...(password === null ? {} : { password }) });
  }

  return (
    <>
      <Field label="Address" hint="As rtsp://user:password@192.168.1.20/stream1. See its manual.">
        {(id, hint) => (
          <input
            id={id}
            aria-describedby={hint}
            inputMode="url"
            placeholder="rtsp://192.168.1.20/stream1"
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
            value={form.address}
            onChange={(event) => change({ address: event.target.value })}
            onBlur={hide}
          />
        )}
      </Field>
      <div className="form-grid">
        <Field label="User">
          {(id) => (
            <input
              id={id}
              autoComplete="off"
              autoCapitalize="none"
              spellCheck={false}
              value={form.user}
              onChange={(event) => change({ user: event.target.value })}
            />
          )}
        </Field>
        <Field label="Password">
          {(id) => (
            <input
              id={id}
              type="password"
              autoComplete="new-password"
              placeholder={entry?.main.hasPassword === true ? 'Unchanged' : ''}
              value={form.password}
              onChange={(event) => change({ password: event.target.value })}
            />
          )}
        </Field>
      </div>
    </>
  );
}

function Place({ form, change }: { form: Form; change: Change }) {
  const rooms = useData(api.rooms);
  const list = useId();
  return (
    <div className="form-grid">
      <Field label="Name">
        {(id) => (
          <input
            id={id}
            maxLength={64}
            placeholder="Front door"
            autoComplete="off"
            value={form.name}
            onChange={(event) => change({ name: event.target.value })}
          />
        )}
      </Field>
      <Field label="Room">
        {(id) => (
          <input
            id={id}
            maxLength={64}
            list={list}
            autoComplete="off"
            value={form.room}
            onChange={(event) => change({ room: event.target.value })}
          />
        )}
      </Field>
      <datalist id={list}>
        {(rooms.value ?? []).map((room) => (
          <option key={room.name} value={room.name} />
        ))}
      </datalist>
    </div>
  );
}

function More({ form, change }: { form: Form; change: Change }) {
  return (
    <details className="more">
      <summary>More settings</summary>
      <div className="stack">
        <Field
          label="Address of the small stream"
          hint="Small tiles then cost less. Without a user in it, the one above is used."
        >
          {(id, hint) => (
            <input
              id={id}
              aria-describedby={hint}
              inputMode="url"
              placeholder="rtsp://192.168.1.20/stream2"
              autoComplete="off"
              autoCapitalize="none"
              spellCheck={false}
              value={form.sub}
              onChange={(event) => change({ sub: event.target.value })}
            />
          )}
        </Field>
        <Choice label="With sound" checked={form.audio} onChange={(audio) => change({ audio })} />
        <Choice
          label="Stay connected while nobody watches"
          hint="Then the first picture is there at once."
          checked={form.alwaysOn}
          onChange={(alwaysOn) => change({ alwaysOn })}
        />
        <Choice
          label="Packets by UDP"
          hint="Only if TCP does not work."
          checked={form.udp}
          onChange={(udp) => change({ udp })}
        />
        <Field
          label="Fingerprints of its certificate"
          hint="For rtsps:// only. A test shows it, if nobody else vouches for the camera."
        >
          {(id, hint) => (
            <input
              id={id}
              aria-describedby={hint}
              autoComplete="off"
              spellCheck={false}
              value={form.pins}
              onChange={(event) => change({ pins: event.target.value })}
            />
          )}
        </Field>
      </div>
    </details>
  );
}

function Field(props: {
  label: string;
  hint?: string;
  children: (id: string, hint: string | undefined) => ReactNode;
}) {
  const id = useId();
  const hint = props.hint === undefined ? undefined : `${id}-hint`;
  return (
    <div className="field">
      <label htmlFor={id}>{props.label}</label>
      {props.children(id, hint)}
      {hint !== undefined && (
        <p className="hint" id={hint}>
          {props.hint}
        </p>
      )}
    </div>
  );
}
