import { useRoomContext } from '@livekit/components-react';
import { useState } from 'react';
import type { Choices } from '../lobby/choices.ts';
import { DeviceSelect } from '../lobby/DeviceSelect.tsx';
import { deviceProblem, problemText } from '../lobby/deviceProblem.ts';
import { canChooseSpeaker, useDevices } from '../lobby/useDevices.ts';
import { Button } from '../ui/Button.tsx';
import { Icon } from '../ui/Icon.tsx';
import { useNotices } from './notices.tsx';
import { Panel } from './Panel.tsx';
import type { OwnMedia } from './useOwnMedia.ts';

type Props = {
  own: OwnMedia;
  choices: Choices;
  onChange: (changed: Partial<Choices>) => void;
  /** Shows the connection details instead. */
  onDetails: () => void;
  onClose: () => void;
};

/** Another camera, microphone or speaker during the call. */
export function SettingsPanel({ own, choices, onChange, onDetails, onClose }: Props) {
  const room = useRoomContext();
  const { show } = useNotices();
  const devices = useDevices(`${own.camera.on} ${own.microphone.on}`);
  const [switching, setSwitching] = useState(false);

  async function change(kind: MediaDeviceKind, deviceId: string, choice: Partial<Choices>) {
    setSwitching(true);
    try {
      await room.switchActiveDevice(kind, deviceId);
      onChange(choice);
    } catch (error) {
      const { what, todo } = problemText(
        kind === 'videoinput' ? 'camera' : 'microphone',
        deviceProblem(error),
      );
      show(kind === 'audiooutput' ? 'The speaker could not be changed.' : `${what} ${todo}`);
    } finally {
      setSwitching(false);
    }
  }

  const active = (kind: MediaDeviceKind, chosen: string) => room.getActiveDevice(kind) ?? chosen;

  return (
    <Panel title="Settings" onClose={onClose}>
      <div className="panel-body stack" aria-busy={switching}>
        {own.camera.available && (
          <DeviceSelect
            label="Camera"
            devices={devices.cameras}
            value={active('videoinput', choices.cameraId)}
            onChange={(cameraId) => void change('videoinput', cameraId, { cameraId })}
          />
        )}
        {own.microphone.available && (
          <DeviceSelect
            label="Microphone"
            devices={devices.microphones}
            value={active('audioinput', choices.microphoneId)}
            onChange={(microphoneId) => void change('audioinput', microphoneId, { microphoneId })}
          />
        )}
        {canChooseSpeaker() && (
          <DeviceSelect
            label="Speaker"
            devices={devices.speakers}
            value={active('audiooutput', choices.speakerId)}
            onChange={(speakerId) => void change('audiooutput', speakerId, { speakerId })}
          />
        )}
        {devices.cameras.length + devices.microphones.length + devices.speakers.length === 0 && (
          <p className="empty">
            There is nothing to choose: no camera, microphone or speaker found.
          </p>
        )}
        <Button kind="quiet" className="panel-link" onClick={onDetails}>
          <Icon name="details" /> Connection details
        </Button>
      </div>
    </Panel>
  );
}
