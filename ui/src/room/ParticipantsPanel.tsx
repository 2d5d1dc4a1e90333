import {
  useIsMuted,
  useIsSpeaking,
  useParticipantInfo,
  useParticipants,
} from '@livekit/components-react';
import { type Participant, Track } from 'livekit-client';
import { Icon } from '../ui/Icon.tsx';
import { Panel } from './Panel.tsx';

/** Everybody in the room, oneself first. */
export function ParticipantsPanel(props: { onClose: () => void }) {
  const participants = useParticipants();
  return (
    <Panel title="Participants" onClose={props.onClose}>
      <ul className="people" aria-label={`${participants.length} in this room`}>
        {participants.map((participant) => (
          <Person key={participant.identity} participant={participant} />
        ))}
      </ul>
    </Panel>
  );
}

function Person({ participant }: { participant: Participant }) {
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
