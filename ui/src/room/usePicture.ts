import {
  isTrackReference,
  type TrackReferenceOrPlaceholder,
  useRoomContext,
} from '@livekit/components-react';
import { RemoteTrackPublication, type Room, RoomEvent, Track } from 'livekit-client';
import { isUnplayable } from './unplayable.ts';
import { useRoomValue } from './useRoomValue.ts';

/** What a tile can show. */
export type Picture =
  /** Frames arrive. */
  | 'live'
  /** There is no camera, or it is off. */
  | 'muted'
  /** It is on, but no frame has been seen yet. */
  | 'loading'
  /** The server has stopped it, because the connection is too slow. */
  | 'paused'
  /** This browser cannot decode it. */
  | 'unplayable';

const EVENTS = [
  RoomEvent.TrackStreamStateChanged,
  RoomEvent.TrackMuted,
  RoomEvent.TrackUnmuted,
  RoomEvent.TrackSubscribed,
  RoomEvent.TrackUnsubscribed,
  RoomEvent.TrackSubscriptionFailed,
  RoomEvent.LocalTrackPublished,
  RoomEvent.LocalTrackUnpublished,
] as const;

/** `shown`: the id of the track whose first frame this tile has seen. */
export function usePicture(track: TrackReferenceOrPlaceholder, shown: string | null): Picture {
  const room = useRoomContext();
  return useRoomValue(EVENTS, () => pictureOf(room, track, shown));
}

function pictureOf(room: Room, track: TrackReferenceOrPlaceholder, shown: string | null): Picture {
  if (!isTrackReference(track)) return 'muted';
  const { publication } = track;
  if (publication.isMuted) return 'muted';
  if (publication.track === undefined) {
    return isUnplayable(room, publication.trackSid) ? 'unplayable' : 'loading';
  }
  if (
    publication instanceof RemoteTrackPublication &&
    publication.track.streamState === Track.StreamState.Paused
  ) {
    return 'paused';
  }
  return shown === publication.trackSid ? 'live' : 'loading';
}
