import { RoomAudioRenderer, RoomContext } from '@livekit/components-react';
import { useEffect, useSyncExternalStore } from 'react';
import { prefixOf, socketUrl } from '../api/prefix.ts';
import type { JoinGrant } from '../api/types.ts';
import type { OwnMedia } from '../lobby/CallStage.tsx';
import { type Choices, loadChoices } from '../lobby/choices.ts';
import type { LeaveReason } from '../lobby/LeftPage.tsx';
import { Call } from './call.ts';
import { createRoom } from './createRoom.ts';
import { NoticeProvider } from './notices.tsx';
import { RoomView } from './RoomView.tsx';
import '../styles/call.css';

/** Resolves names and opens the first connection while the person is still in the lobby. */
export function warmUp(): void {
  const url = socketUrl(prefixOf(document.baseURI));
  void createRoom(loadChoices()).prepareConnection(url);
}

/** Begins a call. Not part of rendering: it must happen once. */
export function startCall(grant: JoinGrant, media: OwnMedia, choices: Choices): Call {
  return new Call(grant, media, choices);
}

type Props = {
  call: Call;
  choices: Choices;
  onChange: (changed: Partial<Choices>) => void;
  onLeave: (reason: LeaveReason) => void;
};

/** The call. */
export default function RoomPage({ call, choices, onChange, onLeave }: Props) {
  const state = useSyncExternalStore(call.subscribe, call.getState);

  useEffect(() => {
    call.attach();
    return () => call.detach();
  }, [call]);

  const ended = state.kind === 'ended' ? state.reason : null;
  useEffect(() => {
    if (ended !== null) onLeave(ended);
  }, [ended, onLeave]);

  return (
    <RoomContext.Provider value={call.room}>
      <NoticeProvider>
        <RoomView call={call} state={state} choices={choices} onChange={onChange} />
      </NoticeProvider>
      <RoomAudioRenderer />
    </RoomContext.Provider>
  );
}
