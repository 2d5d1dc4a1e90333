import {
  isTrackReference,
  type TrackReferenceOrPlaceholder,
  useConnectionQualityIndicator,
  useIsMuted,
  useIsSpeaking,
  useParticipantInfo,
  VideoTrack,
} from '@livekit/components-react';
import { ConnectionQuality, type Participant, Track } from 'livekit-client';
import { useEffect, useState } from 'react';
import { Icon } from '../ui/Icon.tsx';
import { Spinner } from '../ui/Spinner.tsx';
import { type Camera, CameraState, isAway, useCamera } from './CameraState.tsx';
import { hueOf, initials } from './initials.ts';
import { Site, useSite } from './Site.tsx';
import { tileKey } from './tiles.ts';
import { unplayableText } from './unplayable.ts';
import { useOverdue } from './useOverdue.ts';
import { type Picture, usePicture } from './usePicture.ts';

/** Pictures come within a second or two, on slow networks within five. */
const OVERDUE_MS = 10_000;

type Props = {
  track: TrackReferenceOrPlaceholder;
  pinned: boolean;
  /** `null`: pinning makes no sense here. */
  onPin: ((key: string | null) => void) | null;
  className?: string;
};

/** One person's camera or screen, with name and state. */
export function Tile({ track, pinned, onPin, className = '' }: Props) {
  const { participant, source } = track;
  const [shown, setShown] = useState<string | null>(null);
  const picture = usePicture(track, shown);
  const speaking = useIsSpeaking(participant);
  const isScreen = source === Track.Source.ScreenShare;
  const label = useLabel(participant, isScreen);
  const { quality } = useConnectionQualityIndicator({ participant });
  const camera = useCamera(participant);
  const trouble = camera?.trouble ?? null;
  // Of a camera it is said in more detail.
  const lost = quality === ConnectionQuality.Lost && !participant.isLocal && trouble === null;

  // After a pause, the first new frame has to be waited for again.
  const off = picture === 'muted';
  useEffect(() => {
    if (off) setShown(null);
  }, [off]);

  return (
    <figure
      className={`tile ${speaking && !isScreen ? 'speaking' : ''} ${isScreen ? 'tile-screen' : ''} ${lost ? 'tile-lost' : ''} ${className}`}
      aria-label={label}
      data-testid="tile"
      data-identity={participant.identity}
      data-source={source}
      data-local={participant.isLocal}
      data-state={picture}
      data-speaking={speaking}
      onDoubleClick={() => onPin?.(pinned ? null : tileKey(track))}
    >
      {isTrackReference(track) && !off && (
        <VideoTrack
          trackRef={track}
          manageSubscription={false}
          className={isMirrored(participant, track.publication.track, source) ? 'mirrored' : ''}
          onLoadedData={() => setShown(track.publication.trackSid)}
        />
      )}
      <Over track={track} picture={picture} camera={camera} />
      {lost && (
        <p className="tile-note">
          <Icon name="quality" /> Connection lost
        </p>
      )}
      <figcaption className="tile-foot">
        {!isScreen && <MicState participant={participant} isCamera={camera !== null} />}
        {isScreen && <Icon name="screen" />}
        <span className="tile-name">{label}</span>
        <Site participant={participant} />
        {!lost && trouble === null && <Quality quality={quality} />}
      </figcaption>
      {onPin !== null && (
        <button
          type="button"
          className="tile-pin button button-icon"
          aria-pressed={pinned}
          aria-label={pinned ? `Unpin ${label}` : `Pin ${label}`}
          onClick={() => onPin(pinned ? null : tileKey(track))}
        >
          <Icon name="pin" />
        </button>
      )}
    </figure>
  );
}

/** What is seen over a picture, or in its place. */
function Over(props: {
  track: TrackReferenceOrPlaceholder;
  picture: Picture;
  camera: Camera | null;
}) {
  const { track, picture, camera } = props;
  const trouble = camera?.trouble ?? null;
  if (picture === 'unplayable' && !isAway(trouble)) {
    return <Unplayable mimeType={track.publication?.mimeType} isCamera={camera !== null} />;
  }
  if (trouble !== null) return <CameraState state={trouble} />;
  const isScreen = track.source === Track.Source.ScreenShare;
  return <Cover participant={track.participant} picture={picture} isScreen={isScreen} />;
}

/** The server has it, and this browser has no decoder for it. */
function Unplayable(props: { mimeType: string | undefined; isCamera: boolean }) {
  const { what, advice } = unplayableText(props.mimeType, props.isCamera);
  return (
    <div className="tile-note tile-camera" data-testid="unplayable" title={advice}>
      <p>
        <Icon name="cameraOff" /> {what}
      </p>
      <p className="tile-why">{advice}</p>
    </div>
  );
}

/** What is seen where there is no picture (yet). */
function Cover(props: { participant: Participant; picture: Picture; isScreen: boolean }) {
  const { participant, picture } = props;
  const { name } = useParticipantInfo({ participant });
  const site = useSite(participant);
  const overdue = useOverdue(picture === 'loading' && !participant.isLocal, OVERDUE_MS);
  if (overdue) {
    return (
      <p className="tile-note">
        <Icon name="slow" />{' '}
        {site === null ? 'No picture arrives' : `No picture arrives from ${site}`}
      </p>
    );
  }
  switch (picture) {
    case 'live':
      return null;
    case 'paused':
      return (
        <p className="tile-note">
          <Icon name="slow" /> Paused: the network is too slow
        </p>
      );
    case 'loading':
      return props.isScreen ? (
        <div className="tile-cover">
          <Spinner />
        </div>
      ) : (
        <Avatar identity={participant.identity} name={name} busy />
      );
    // It is said before, see `Over`.
    case 'unplayable':
      return null;
    case 'muted':
      return <Avatar identity={participant.identity} name={name} />;
  }
}

function Avatar(props: { identity: string; name: string | undefined; busy?: boolean }) {
  const name = props.name === undefined || props.name === '' ? props.identity : props.name;
  const hue = { '--hue': hueOf(props.identity) } as React.CSSProperties;
  return (
    <div className="tile-cover" style={hue} aria-hidden="true">
      <span className={`avatar ${props.busy === true ? 'avatar-busy' : ''}`}>{initials(name)}</span>
    </div>
  );
}

function MicState({ participant, isCamera }: { participant: Participant; isCamera: boolean }) {
  const muted = useIsMuted({ participant, source: Track.Source.Microphone });
  // Many cameras have none, and there is nobody who could switch it on.
  if (isCamera && participant.getTrackPublication(Track.Source.Microphone) === undefined) {
    return null;
  }
  return (
    <span className={muted ? 'mic-state muted' : 'mic-state'}>
      <Icon name={muted ? 'micOff' : 'mic'} />
      <span className="visually-hidden">{muted ? 'Microphone off' : 'Microphone on'}</span>
    </span>
  );
}

/** Only said when it is bad: a good connection needs no sign. */
function Quality({ quality }: { quality: ConnectionQuality }) {
  if (quality !== ConnectionQuality.Poor && quality !== ConnectionQuality.Lost) return null;
  const text = quality === ConnectionQuality.Lost ? 'Connection lost' : 'Poor connection';
  return (
    <span className="tile-quality" title={text}>
      <Icon name="quality" />
      <span className="visually-hidden">{text}</span>
    </span>
  );
}

function useLabel(participant: Participant, isScreen: boolean): string {
  const info = useParticipantInfo({ participant });
  const name = info.name === undefined || info.name === '' ? participant.identity : info.name;
  if (isScreen) return participant.isLocal ? 'Your screen' : `${name}’s screen`;
  return participant.isLocal ? `${name} (you)` : name;
}

/** People know themselves from the mirror; a phone's back camera is no mirror. */
function isMirrored(participant: Participant, track: Track | undefined, source: Track.Source) {
  return (
    participant.isLocal &&
    source === Track.Source.Camera &&
    track?.mediaStreamTrack.getSettings().facingMode !== 'environment'
  );
}
