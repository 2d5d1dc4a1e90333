import { Button } from '../ui/Button.tsx';
import { Icon } from '../ui/Icon.tsx';
import { Spinner } from '../ui/Spinner.tsx';
import type { Choices } from './choices.ts';
import { DeviceSelect } from './DeviceSelect.tsx';
import { problemText } from './deviceProblem.ts';
import { SelfView } from './Lobby.tsx';
import { canChooseSpeaker, useDevices } from './useDevices.ts';
import { useMicLevel } from './useMicLevel.ts';
import type { DeviceState, Preview, PreviewKind } from './usePreview.ts';

type Props = {
  preview: Preview;
  choices: Choices;
  onChange: (changed: Partial<Choices>) => void;
};

/** Camera preview and microphone meter, with what is wrong with them. */
export function LobbyPreview({ preview, choices, onChange }: Props) {
  const { camera, microphone } = preview;

  function toggle(kind: PreviewKind) {
    const on = preview[kind].kind === 'live' || preview[kind].kind === 'asking';
    onChange({ [kind]: !on });
    if (on) preview.stop(kind);
    else void preview.start(kind, kind === 'camera' ? choices.cameraId : choices.microphoneId);
  }

  return (
    <section className="card lobby-preview" aria-label="Camera and microphone">
      <div className="preview">
        <PreviewPicture state={camera} />
        <div className="preview-bar">
          <MicButton state={microphone} onToggle={() => toggle('microphone')} />
          <CameraButton state={camera} onToggle={() => toggle('camera')} />
        </div>
      </div>
      <ProblemNote kind="camera" state={camera} onRetry={() => preview.start('camera')} />
      <ProblemNote
        kind="microphone"
        state={microphone}
        onRetry={() => preview.start('microphone')}
      />
    </section>
  );
}

/** Which camera, microphone and speaker to use. */
export function LobbyDevices({ preview, choices, onChange }: Props) {
  const { camera, microphone } = preview;
  const devices = useDevices(`${camera.kind} ${microphone.kind}`);
  if (devices.cameras.length + devices.microphones.length + devices.speakers.length === 0) {
    return null;
  }
  return (
    <section className="card device-choice" aria-label="Devices">
      <DeviceSelect
        label="Camera"
        devices={devices.cameras}
        value={activeId(camera, choices.cameraId)}
        onChange={(cameraId) => {
          onChange({ cameraId, camera: true });
          void preview.start('camera', cameraId);
        }}
      />
      <DeviceSelect
        label="Microphone"
        devices={devices.microphones}
        value={activeId(microphone, choices.microphoneId)}
        onChange={(microphoneId) => {
          onChange({ microphoneId, microphone: true });
          void preview.start('microphone', microphoneId);
        }}
      />
      {canChooseSpeaker() && (
        <DeviceSelect
          label="Speaker"
          devices={devices.speakers}
          value={choices.speakerId}
          onChange={(speakerId) => onChange({ speakerId })}
        />
      )}
    </section>
  );
}

function PreviewPicture({ state }: { state: DeviceState }) {
  switch (state.kind) {
    case 'live':
      return <SelfView track={state.track} />;
    case 'asking':
      return (
        <p className="preview-text" role="status">
          <Spinner /> Please allow camera and microphone
        </p>
      );
    case 'off':
      return <p className="preview-text">Your camera is off</p>;
    case 'failed':
      return <p className="preview-text">No picture from your camera</p>;
  }
}

function MicButton({ state, onToggle }: { state: DeviceState; onToggle: () => void }) {
  const track = state.kind === 'live' ? state.track : null;
  const level = useMicLevel(track);
  const on = track !== null;
  return (
    <div className="mic-button">
      <Button
        kind={on ? 'plain' : 'danger'}
        className="button-round"
        aria-label={on ? 'Mute microphone' : 'Unmute microphone'}
        onClick={onToggle}
      >
        <Icon name={on ? 'mic' : 'micOff'} />
      </Button>
      <meter
        className="mic-level"
        data-testid="mic-level"
        data-level={level}
        aria-label="Microphone level"
        min={0}
        max={100}
        value={level}
      />
    </div>
  );
}

function CameraButton({ state, onToggle }: { state: DeviceState; onToggle: () => void }) {
  const on = state.kind === 'live';
  return (
    <Button
      kind={on ? 'plain' : 'danger'}
      className="button-round"
      aria-label={on ? 'Stop camera' : 'Start camera'}
      onClick={onToggle}
    >
      <Icon name={on ? 'camera' : 'cameraOff'} />
    </Button>
  );
}

function ProblemNote(props: { kind: PreviewKind; state: DeviceState; onRetry: () => void }) {
  if (props.state.kind !== 'failed') return null;
  const { problem } = props.state;
  const text = problemText(props.kind, problem);
  return (
    <div
      className="note note-warning"
      role="status"
      data-testid="device-problem"
      data-kind={props.kind}
      data-problem={problem}
    >
      <Icon name={props.kind === 'camera' ? 'cameraOff' : 'micOff'} />
      <div>
        <strong>{text.what}</strong> {text.todo}
        {problem !== 'insecure' && problem !== 'unsupported' && (
          <Button kind="quiet" onClick={props.onRetry}>
            Try the {props.kind} again
          </Button>
        )}
      </div>
    </div>
  );
}

function activeId(state: DeviceState, chosen: string): string {
  return state.kind === 'live' ? (state.track.getSettings().deviceId ?? chosen) : chosen;
}
