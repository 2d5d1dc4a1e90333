import { isTrackReference, type TrackReferenceOrPlaceholder } from '@livekit/components-react';
import { Track } from 'livekit-client';

/** Tells tiles apart: the same for a person with and without a picture. */
export function tileKey(track: TrackReferenceOrPlaceholder): string {
  return `${track.participant.identity}/${track.source}`;
}

/**
 * The tile for the large place: what the person pinned, else a shared screen of somebody else,
 * else any shared screen, else who spoke last, else the first other person, else oneself.
 */
export function mainTile<T extends TrackReferenceOrPlaceholder>(
  tiles: readonly T[],
  pinned: string | null,
  lastSpeaker: string | null,
): T | undefined {
  const isScreen = (tile: T) => tile.source === Track.Source.ScreenShare && isTrackReference(tile);
  const isRemote = (tile: T) => !tile.participant.isLocal;
  return (
    tiles.find((tile) => tileKey(tile) === pinned) ??
    tiles.find((tile) => isScreen(tile) && isRemote(tile)) ??
    tiles.find(isScreen) ??
    tiles.find((tile) => tile.participant.identity === lastSpeaker && isRemote(tile)) ??
    tiles.find(isRemote) ??
    tiles[0]
  );
}
