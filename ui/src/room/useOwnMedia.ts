import { useLocalParticipant, useLocalParticipantPermissions } from '@livekit/components-react';
import { type Participant, RoomEvent, Track, type TrackPublication } from 'livekit-client';
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { deviceProblem, pageProblem, problemText } from '../lobby/deviceProblem.ts';
import { sentence } from '../ui/sentence.ts';
import type { Call } from './call.ts';
import { useNotices } from './notices.tsx';
import { maySend, type OwnKind, type Permission, SOURCE_OF } from './permission.ts';

export type OwnDevice = {
  on: boolean;
  /** A click is being carried out. */
  busy: boolean;
  /** Whether the person may send it and the browser can. */
  available: boolean;
  toggle: () => Promise<void>;
};

export type OwnMedia = Record<OwnKind, OwnDevice>;

const KINDS: readonly OwnKind[] = ['microphone', 'camera', 'screen'];

/** The person's own microphone, camera and screen during the call. */
export function useOwnMedia(call: Call): OwnMedia {
  const { localParticipant, isMicrophoneEnabled, isCameraEnabled, isScreenShareEnabled } =
    useLocalParticipant({ room: call.room });
  const permissions = useLocalParticipantPermissions();
  const notices = useNotices();
  const [busy, setBusy] = useState<ReadonlySet<OwnKind>>(new Set());
  const toggling = useRef(new Set<OwnKind>());

  useModeratorNotice(call, toggling.current);
  useUnsentNotice(call);
  useRefusalNotice(call);

  const run = useCallback(
    async (kind: OwnKind, on: boolean) => {
      if (toggling.current.has(kind)) return;
      toggling.current.add(kind);
      setBusy(new Set(toggling.current));
      try {
        await setEnabled(localParticipant, kind, on);
        notices.announce(STATES[kind][on ? 'on' : 'off']);
      } catch (error) {
        const text = failureText(kind, error);
        if (text !== null) notices.show(text);
      } finally {
        toggling.current.delete(kind);
        setBusy(new Set(toggling.current));
      }
    },
    [localParticipant, notices],
  );

  return useMemo(() => {
    const on = {
      microphone: isMicrophoneEnabled,
      camera: isCameraEnabled,
      screen: isScreenShareEnabled,
    };
    const device = (kind: OwnKind): OwnDevice => ({
      on: on[kind],
      busy: busy.has(kind),
      available:
        call.grant.canPublish && maySend(permissions, kind) && (kind !== 'screen' || canShare()),
      toggle: () => run(kind, !on[kind]),
    });
    return { microphone: device('microphone'), camera: device('camera'), screen: device('screen') };
  }, [
    isMicrophoneEnabled,
    isCameraEnabled,
    isScreenShareEnabled,
    busy,
    permissions,
    run,
    call.grant.canPublish,
  ]);
}

const STATES: Record<OwnKind, { on: string; off: string }> = {
  microphone: { on: 'Microphone on', off: 'Microphone off' },
  camera: { on: 'Camera on', off: 'Camera off' },
  screen: { on: 'You are sharing your screen', off: 'You stopped sharing your screen' },
};

function setEnabled(participant: Call['room']['localParticipant'], kind: OwnKind, on: boolean) {
  switch (kind) {
    case 'microphone':
      return participant.setMicrophoneEnabled(on);
    case 'camera':
      return participant.setCameraEnabled(on);
    case 'screen':
      return participant.setScreenShareEnabled(on, { audio: true, selfBrowserSurface: 'exclude' });
  }
}

/** `null` if there is nothing to say: closing the choice of screens is no fault. */
function failureText(kind: OwnKind, error: unknown): string | null {
  const problem = pageProblem() ?? deviceProblem(error);
  if (kind === 'screen' && problem === 'refused') return null;
  const { what, todo } = problemText(kind, problem);
  return `${what} ${todo}`;
}

function canShare(): boolean {
  return navigator.mediaDevices?.getDisplayMedia !== undefined;
}

const WHAT: Record<OwnKind, string> = {
  microphone: 'microphone',
  camera: 'camera',
  screen: 'shared screen',
};

/** Says so if a moderator switched something off, or took or gave back the right to send. */
function useModeratorNotice(call: Call, toggling: ReadonlySet<OwnKind>): void {
  const { show } = useNotices();
  useEffect(() => {
    const onMuted = (publication: TrackPublication, participant: Participant) => {
      if (!participant.isLocal) return;
      const kind = KINDS.find((kind) => SOURCE_OF[kind] === publication.source);
      if (kind === undefined || toggling.has(kind)) return;
      show(`A moderator has switched your ${WHAT[kind]} off.`);
      // A screen that nobody sees must not be captured any longer.
      if (kind === 'screen') void call.room.localParticipant.setScreenShareEnabled(false);
    };
    const onPermission = (before: Permission | undefined, participant: Participant) => {
      const may = participant.permissions?.canPublish;
      if (!participant.isLocal || before === undefined || may === before.canPublish) return;
      show(may ? 'You may talk and share again.' : 'You may no longer talk or share.');
    };
    call.room.on(RoomEvent.TrackMuted, onMuted);
    call.room.on(RoomEvent.ParticipantPermissionsChanged, onPermission);
    return () => {
      call.room.off(RoomEvent.TrackMuted, onMuted);
      call.room.off(RoomEvent.ParticipantPermissionsChanged, onPermission);
    };
  }, [call, show, toggling]);
}

/** Says why the server does not take a track: the library waits in vain, and knows no reason then. */
export function useRefusalNotice(call: Call): void {
  const { show } = useNotices();
  useEffect(() => {
    const { engine } = call.room;
    const onResponse = (answer: { request: { case?: string }; message: string }) => {
      if (answer.request.case === 'addTrack' && answer.message !== '')
        show(sentence(answer.message));
    };
    engine.on('signalRequestResponse', onResponse);
    return () => {
      engine.off('signalRequestResponse', onResponse);
    };
  }, [call, show]);
}

/** Says so if the lobby's camera or microphone did not make it into the call. */
function useUnsentNotice(call: Call): void {
  const { show } = useNotices();
  const count = useSyncExternalStore(call.subscribe, () => call.unsent.length);
  useEffect(() => {
    if (count === 0) return;
    const what = call.unsent[count - 1] === Track.Source.Camera ? 'camera' : 'microphone';
    show(`Your ${what} could not be sent. Switch it on again.`);
  }, [call, count, show]);
}
