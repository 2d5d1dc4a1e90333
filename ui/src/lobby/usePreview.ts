import { useCallback, useEffect, useRef, useState } from 'react';
import type { Choices } from './choices.ts';
import { type DeviceProblem, deviceProblem, pageProblem } from './deviceProblem.ts';

/** One of the person's own devices before the call. */
export type DeviceState =
  | { kind: 'off' }
  | { kind: 'asking' }
  | { kind: 'live'; track: MediaStreamTrack }
  | { kind: 'failed'; problem: DeviceProblem };

export type PreviewKind = 'camera' | 'microphone';

export type Preview = {
  camera: DeviceState;
  microphone: DeviceState;
  start: (kind: PreviewKind, deviceId?: string) => Promise<void>;
  stop: (kind: PreviewKind) => void;
  /** Resolves once no device is being opened any more, or after a while. */
  settled: () => Promise<void>;
  /** Hands the tracks over to the call: this hook no longer stops them. */
  release: () => { camera: MediaStreamTrack | null; microphone: MediaStreamTrack | null };
};

const OFF: DeviceState = { kind: 'off' };

/** How long somebody who joins waits for a device that is being opened. */
const PATIENCE_MS = 4_000;

/** Camera and microphone in the lobby: asked for together, so that there is one prompt. */
export function usePreview(enabled: boolean, choices: Choices): Preview {
  const [camera, setCamera] = useState<DeviceState>(OFF);
  const [microphone, setMicrophone] = useState<DeviceState>(OFF);
  const tracks = useRef(new TrackBox());
  const first = useRef(choices);
  const opening = useRef<Promise<unknown>>(Promise.resolve());

  const show = useCallback((kind: PreviewKind, state: DeviceState) => {
    (kind === 'camera' ? setCamera : setMicrophone)(state);
  }, []);

  const take = useCallback(
    (kind: PreviewKind, track: MediaStreamTrack) => {
      tracks.current.put(kind, track);
      // An unplugged device ends its track without anybody having asked for it.
      track.addEventListener('ended', () => {
        if (tracks.current.get(kind) !== track) return;
        tracks.current.stop(kind);
        show(kind, { kind: 'failed', problem: 'absent' });
      });
      show(kind, { kind: 'live', track });
    },
    [show],
  );

  const open = useCallback(
    async (kind: PreviewKind, deviceId = '') => {
      const problem = pageProblem();
      if (problem !== null) return show(kind, { kind: 'failed', problem });
      const ticket = tracks.current.ticket(kind);
      tracks.current.stop(kind);
      show(kind, { kind: 'asking' });
      try {
        const track = await openOne(kind, deviceId);
        if (tracks.current.isCurrent(kind, ticket)) take(kind, track);
        else track.stop();
      } catch (error) {
        if (!tracks.current.isCurrent(kind, ticket)) return;
        show(kind, { kind: 'failed', problem: deviceProblem(error) });
      }
    },
    [show, take],
  );

  const start = useCallback(
    (kind: PreviewKind, deviceId = '') => {
      const opened = open(kind, deviceId);
      opening.current = Promise.all([opening.current, opened]);
      return opened;
    },
    [open],
  );

  const stop = useCallback(
    (kind: PreviewKind) => {
      tracks.current.ticket(kind);
      tracks.current.stop(kind);
      show(kind, OFF);
    },
    [show],
  );

  const release = useCallback(() => tracks.current.release(), []);

  const settled = useCallback(async () => {
    const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
    await Promise.race([opening.current, patience]);
  }, []);

  useEffect(() => {
    if (!enabled) return;
    const box = tracks.current;
    const wanted = first.current;
    opening.current = openBoth(wanted, { show, take, start: open, box });
    return () => {
      for (const kind of KINDS) {
        box.ticket(kind);
        box.stop(kind);
      }
    };
  }, [enabled, show, take, open]);

  return { camera, microphone, start, stop, settled, release };
}

const KINDS: readonly PreviewKind[] = ['camera', 'microphone'];

type Hands = {
  show: (kind: PreviewKind, state: DeviceState) => void;
  take: (kind: PreviewKind, track: MediaStreamTrack) => void;
  start: (kind: PreviewKind, deviceId?: string) => Promise<void>;
  box: TrackBox;
};

/** Both devices with one prompt; if that fails, each on its own, to see which one it is. */
async function openBoth(wanted: Choices, { show, take, start, box }: Hands): Promise<void> {
  const problem = pageProblem();
  const kinds = KINDS.filter((kind) => wanted[kind]);
  if (problem !== null) {
    for (const kind of KINDS) show(kind, { kind: 'failed', problem });
    return;
  }
  if (kinds.length < 2) {
    for (const kind of kinds) await start(kind, deviceIdOf(wanted, kind));
    return;
  }
  const tickets = { camera: box.ticket('camera'), microphone: box.ticket('microphone') };
  for (const kind of kinds) show(kind, { kind: 'asking' });
  try {
    const stream = await navigator.mediaDevices.getUserMedia({
      video: constraints('camera', wanted.cameraId),
      audio: constraints('microphone', wanted.microphoneId),
    });
    for (const track of stream.getTracks()) {
      const kind = track.kind === 'video' ? 'camera' : 'microphone';
      if (box.isCurrent(kind, tickets[kind])) take(kind, track);
      else track.stop();
    }
  } catch (error) {
    const problem = deviceProblem(error);
    for (const kind of kinds) {
      if (!box.isCurrent(kind, tickets[kind])) continue;
      // A refusal of both needs no second question.
      if (problem === 'refused') show(kind, { kind: 'failed', problem });
      else await start(kind, deviceIdOf(wanted, kind));
    }
  }
}

function deviceIdOf(choices: Choices, kind: PreviewKind): string {
  return kind === 'camera' ? choices.cameraId : choices.microphoneId;
}

async function openOne(kind: PreviewKind, deviceId: string): Promise<MediaStreamTrack> {
  const wish = constraints(kind, deviceId);
  const stream = await navigator.mediaDevices.getUserMedia(
    kind === 'camera' ? { video: wish } : { audio: wish },
  );
  const [track] = stream.getTracks();
  if (track === undefined) throw new DOMException('no track', 'NotFoundError');
  return track;
}

/** A remembered device may be gone, so it is a wish ("ideal") and not a condition. */
function constraints(kind: PreviewKind, deviceId: string): MediaTrackConstraints {
  const device = deviceId === '' ? {} : { deviceId: { ideal: deviceId } };
  if (kind === 'camera') {
    return { ...device, width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
  }
  return { ...device, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
}

/** Holds the open tracks, and tells late answers of the browser from current ones. */
class TrackBox {
  private readonly open = new Map<PreviewKind, MediaStreamTrack>();
  private readonly tickets = { camera: 0, microphone: 0 };

  ticket(kind: PreviewKind): number {
    this.tickets[kind] += 1;
    return this.tickets[kind];
  }

  isCurrent(kind: PreviewKind, ticket: number): boolean {
    return this.tickets[kind] === ticket;
  }

  get(kind: PreviewKind): MediaStreamTrack | undefined {
    return this.open.get(kind);
  }

  put(kind: PreviewKind, track: MediaStreamTrack): void {
    this.stop(kind);
    this.open.set(kind, track);
  }

  stop(kind: PreviewKind): void {
    const track = this.open.get(kind);
    this.open.delete(kind);
    track?.stop();
  }

  release() {
    const released = {
      camera: this.open.get('camera') ?? null,
      microphone: this.open.get('microphone') ?? null,
    };
    this.open.clear();
    return released;
  }
}
