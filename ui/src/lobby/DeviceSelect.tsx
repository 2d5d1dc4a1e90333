import { useId } from 'react';
import { deviceLabel } from './useDevices.ts';

/** One kind of device to choose from; nothing at all if there is nothing to choose. */
export function DeviceSelect(props: {
  label: string;
  devices: MediaDeviceInfo[];
  value: string;
  onChange: (deviceId: string) => void;
}) {
  const id = useId();
  if (props.devices.length === 0) return null;
  const known = props.devices.some((device) => device.deviceId === props.value);
  return (
    <div className="field">
      <label htmlFor={id}>{props.label}</label>
      <select
        id={id}
        value={known ? props.value : props.devices[0]?.deviceId}
        onChange={(event) => props.onChange(event.target.value)}
      >
        {props.devices.map((device, index) => (
          <option key={device.deviceId} value={device.deviceId}>
            {deviceLabel(device, index)}
          </option>
        ))}
      </select>
    </div>
  );
}
