import { useEffect, useState } from 'react';

export type Devices = {
  cameras: MediaDeviceInfo[];
  microphones: MediaDeviceInfo[];
  speakers: MediaDeviceInfo[];
};

const NONE: Devices = { cameras: [], microphones: [], speakers: [] };

/**
 * The devices that can be chosen, kept up to date while they are plugged in and out. Browsers
 * hide names and ids until a permission is given: pass something as `again` that changes then.
 */
export function useDevices(again: unknown): Devices {
  const [devices, setDevices] = useState(NONE);

  // biome-ignore lint/correctness/useExhaustiveDependencies: `again` is there to ask once more
  useEffect(() => {
    const media = navigator.mediaDevices;
    if (media?.enumerateDevices === undefined) return;
    let current = true;
    const refresh = () => {
      media.enumerateDevices().then(
        (list) => current && setDevices(sortDevices(list)),
        () => current && setDevices(NONE),
      );
    };
    refresh();
    media.addEventListener('devicechange', refresh);
    return () => {
      current = false;
      media.removeEventListener('devicechange', refresh);
    };
  }, [again]);

  return devices;
}

/** Whether the browser lets a page choose where sound comes out. */
export function canChooseSpeaker(): boolean {
  return typeof HTMLMediaElement !== 'undefined' && 'setSinkId' in HTMLMediaElement.prototype;
}

/** A name for a device even if the browser tells none. */
export function deviceLabel(device: MediaDeviceInfo, index: number): string {
  if (device.label !== '') return device.label;
  switch (device.kind) {
    case 'videoinput':
      return `Camera ${index + 1}`;
    case 'audioinput':
      return `Microphone ${index + 1}`;
    case 'audiooutput':
      return `Speaker ${index + 1}`;
  }
}

function sortDevices(list: MediaDeviceInfo[]): Devices {
  const known = list.filter((device) => device.deviceId !== '');
  return {
    cameras: known.filter((device) => device.kind === 'videoinput'),
    microphones: known.filter((device) => device.kind === 'audioinput'),
    speakers: known.filter((device) => device.kind === 'audiooutput'),
  };
}
