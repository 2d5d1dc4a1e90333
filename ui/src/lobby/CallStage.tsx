import { useCallback, useEffect, useState } from 'react';
import { api } from '../api/client.ts';
import { errorText } from '../api/errors.ts';
import type { InviteInfo, JoinGrant } from '../api/types.ts';
import type { Call } from '../room/call.ts';
import type RoomPage from '../room/RoomPage.tsx';
import type { CallSource } from './CallPage.tsx';
import { type Choices, clientId, loadChoices, saveChoices } from './choices.ts';
import { type LeaveReason, LeftPage } from './LeftPage.tsx';
import { Lobby } from './Lobby.tsx';

/** What the lobby hands over to the call: open tracks, so that no device is opened twice. */
export type OwnMedia = { camera: MediaStreamTrack | null; microphone: MediaStreamTrack | null };

type Stage =
  | { kind: 'lobby'; problem: string | null }
  | { kind: 'call'; call: Call; Page: typeof RoomPage }
  | { kind: 'left'; reason: LeaveReason };

// Not by `lazy`: it would show its fallback for a moment, and the first picture that much later.
const loadRoom = () => import('../room/RoomPage.tsx');

/** Lobby, call, and the page after it. */
export function CallStage(props: { source: CallSource; info: InviteInfo; onHome: () => void }) {
  const { source, info } = props;
  const [stage, setStage] = useState<Stage>({ kind: 'lobby', problem: null });
  const [choices, setChoices] = useState(loadChoices);

  useEffect(() => {
    document.title = `${info.room} · ${info.serverName}`;
    // Fetched while the person still looks at themselves, so that joining waits for nothing.
    loadRoom().then(
      (room) => room.warmUp(),
      () => undefined,
    );
  }, [info]);

  const change = useCallback((changed: Partial<Choices>) => {
    setChoices((before) => {
      const after = { ...before, ...changed };
      saveChoices(after);
      return after;
    });
  }, []);

  const join = useCallback(
    async (media: OwnMedia) => {
      try {
        const [grant, room] = await Promise.all([askToJoin(source, choices.name), loadRoom()]);
        const call = room.startCall(grant, media, choices);
        setStage({ kind: 'call', call, Page: room.default });
      } catch (error) {
        media.camera?.stop();
        media.microphone?.stop();
        setStage({ kind: 'lobby', problem: errorText(error) });
        throw error;
      }
    },
    [source, choices],
  );

  const leave = useCallback((reason: LeaveReason) => setStage({ kind: 'left', reason }), []);

  switch (stage.kind) {
    case 'lobby':
      return (
        <Lobby
          info={info}
          choices={choices}
          onChange={change}
          onJoin={join}
          problem={stage.problem}
        />
      );
    case 'call':
      return <stage.Page call={stage.call} choices={choices} onChange={change} onLeave={leave} />;
    case 'left':
      return (
        <LeftPage
          invite={source.kind === 'invite' ? source.token : null}
          reason={stage.reason}
          room={info.room}
          onAgain={() => setStage({ kind: 'lobby', problem: null })}
          onHome={props.onHome}
        />
      );
  }
}

function askToJoin(source: CallSource, name: string): Promise<JoinGrant> {
  const body = { name: name.trim(), clientId: clientId() };
  return source.kind === 'invite'
    ? api.joinByInvite(source.token, body)
    : api.joinAsAdmin(source.room, body);
}
