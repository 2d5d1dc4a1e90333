import { isTrackReference, type TrackReferenceOrPlaceholder } from '@livekit/components-react';
import { RemoteTrackPublication, RoomEvent, Track } from 'livekit-client';
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
  | 'paused';

const EVENTS = [
  RoomEvent.TrackStreamStateChanged,
  RoomEvent.TrackMuted,
  RoomEvent.TrackUnmuted,
  RoomEvent.TrackSubscribed,
  RoomEvent.TrackUnsubscribed,
  RoomEvent.LocalTrackPublished,
  RoomEvent.LocalTrackUnpublished,
] as const;

/** `shown`: the id of the track whose first frame this tile has seen. */
export function usePicture(track: TrackReferenceOrPlaceholder, shown: string | null): Picture {
  return useRoomValue(EVENTS, () => pictureOf(track, shown));
}

function pictureOf(track: TrackReferenceOrPlaceholder, shown: string | null): Picture {
  if (!isTrackReference(track)) return 'muted';
  const { publication } = track;
  if (publication.isMuted) return 'muted';
  if (publication.track === undefined) return 'loading';
  if (
    publication instanceof RemoteTrackPublication &&
    publication.track.streamState === Track.StreamState.Paused
  ) {
    return 'paused';
  }
  return shown === publication.trackSid ? 'live' : 'loading';
}
