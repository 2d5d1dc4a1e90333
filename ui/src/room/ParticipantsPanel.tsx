import {
  useIsMuted,
  useIsSpeaking,
  useParticipantInfo,
  useParticipants,
} from '@livekit/components-react';
import { type Participant, Track } from 'livekit-client';
import { useState } from 'react';
import { Button } from '../ui/Button.tsx';
import { Icon } from '../ui/Icon.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import type { Call } from './call.ts';
import { ModerateDialog } from './ModerateDialog.tsx';
import { muteAll, useModeration } from './moderation.ts';
import { Panel } from './Panel.tsx';
import { Site } from './Site.tsx';

/** Everybody in the room, oneself first. Moderators can do something about the others. */
export function ParticipantsPanel(props: { call: Call; onClose: () => void }) {
  const participants = useParticipants();
  const [chosen, setChosen] = useState<Participant | null>(null);
  const moderates = props.call.grant.canModerate;
  const present = participants.find((participant) => participant === chosen);
  return (
    <Panel title="Participants" onClose={props.onClose}>
      {moderates && participants.length > 1 && <MuteAll call={props.call} all={participants} />}
      {present !== undefined && (
        <ModerateDialog call={props.call} participant={present} onClose={() => setChosen(null)} />
      )}
      <ul className="people" aria-label={`${participants.length} in this room`}>
        {participants.map((participant) => (
          <Person
            key={participant.identity}
            participant={participant}
            onModerate={moderates && !participant.isLocal ? setChosen : null}
          />
        ))}
      </ul>
    </Panel>
  );
}

function MuteAll({ call, all }: { call: Call; all: readonly Participant[] }) {
  const { busy, error, run } = useModeration(call);
  const label = 'Mute everybody';
  return (
    <div className="people-all stack">
      <Button busy={busy !== null} onClick={() => void run(label, muteAll(call.grant.room, all))}>
        {label}
      </Button>
      {error !== null && <ErrorNote>{error}</ErrorNote>}
    </div>
  );
}

type PersonProps = {
  participant: Participant;
  onModerate: ((participant: Participant) => void) | null;
};

function Person({ participant, onModerate }: PersonProps) {
  const info = useParticipantInfo({ participant });
  const speaking = useIsSpeaking(participant);
  const noMic = useIsMuted({ participant, source: Track.Source.Microphone });
  const noCamera = useIsMuted({ participant, source: Track.Source.Camera });
  const name = info.name || participant.identity;
  return (
    <li className={speaking ? 'person speaking' : 'person'} data-identity={participant.identity}>
      <span className="person-name">
        {name}
        {participant.isLocal && ' (you)'}
        {participant.attributes['umbrella.role'] === 'moderate' && ' (moderator)'}
        <Site participant={participant} />
      </span>
      {participant.isScreenShareEnabled && <State icon="screen" text="shares the screen" />}
      <State
        icon={noMic ? 'micOff' : 'mic'}
        text={noMic ? 'microphone off' : 'microphone on'}
        off={noMic}
      />
      <State
        icon={noCamera ? 'cameraOff' : 'camera'}
        text={noCamera ? 'camera off' : 'camera on'}
        off={noCamera}
      />
      {onModerate !== null && (
        <button
          type="button"
          className="button button-quiet button-icon"
          aria-label={`Moderate ${name}`}
          aria-haspopup="dialog"
          onClick={() => onModerate(participant)}
        >
          <Icon name="more" />
        </button>
      )}
    </li>
  );
}

function State(props: {
  icon: 'mic' | 'micOff' | 'camera' | 'cameraOff' | 'screen';
  text: string;
  off?: boolean;
}) {
  return (
    <span className={props.off === true ? 'person-state off' : 'person-state'} title={props.text}>
      <Icon name={props.icon} />
      <span className="visually-hidden">, {props.text}</span>
    </span>
  );
}
