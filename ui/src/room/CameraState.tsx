import { useParticipantAttributes } from '@livekit/components-react';
import type { Participant } from 'livekit-client';
import { useEffect, useState } from 'react';
import { Icon } from '../ui/Icon.tsx';
import { sentence } from '../ui/sentence.ts';

/** How a security camera stands that has no picture at the moment. */
export type CameraTrouble = {
  state: 'connecting' | 'reconnecting' | 'idle' | 'refused';
  why: string;
  /** Seconds since the Unix epoch. */
  retry: number | null;
};

const STATES = ['connecting', 'reconnecting', 'idle', 'refused'] as const;

/** What is known of a security camera; `null` of people. */
export type Camera = { trouble: CameraTrouble | null };

export function useCamera(participant: Participant): Camera | null {
  const { attributes } = useParticipantAttributes({ participant });
  if (participant.isLocal || attributes?.['umbrella.camera.state'] === undefined) return null;
  return { trouble: cameraTrouble(attributes) };
}

/** `null` of people, and of cameras that have a picture. */
export function cameraTrouble(attributes: Record<string, string>): CameraTrouble | null {
  const state = STATES.find((name) => name === attributes['umbrella.camera.state']);
  if (state === undefined) return null;
  const retry = Number(attributes['umbrella.camera.retry'] ?? '');
  const why = attributes['umbrella.camera.why'] ?? '';
  return { state, why, retry: Number.isFinite(retry) && retry > 0 ? retry : null };
}

/** Whether there would be no picture in any browser, nor before it is seen what the camera sends. */
export function isAway(trouble: CameraTrouble | null): boolean {
  return trouble?.state === 'reconnecting' || trouble?.state === 'refused';
}

/** In words. `nowS`: seconds since the Unix epoch. */
export function cameraText(trouble: CameraTrouble, nowS: number): string {
  const left = trouble.retry === null ? 0 : Math.ceil(trouble.retry - nowS);
  switch (trouble.state) {
    case 'connecting':
    // It is connected as soon as somebody looks.
    case 'idle':
      return 'Connecting to the camera';
    case 'reconnecting':
      return left > 0 ? `Reconnecting to the camera in ${left} s` : 'Reconnecting to the camera';
    case 'refused':
      return 'No picture from the camera';
  }
}

export function CameraState({ state }: { state: CameraTrouble }) {
  const nowS = useSeconds(state.retry !== null);
  return (
    <div
      className="tile-note tile-camera"
      data-testid="camera-state"
      data-state={state.state}
      title={state.why}
    >
      <p>
        <Icon name="slow" /> {cameraText(state, nowS)}
      </p>
      {state.why !== '' && <p className="tile-why">{sentence(state.why)}</p>}
    </div>
  );
}

function useSeconds(ticking: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!ticking) return;
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [ticking]);
  return now / 1000;
}
