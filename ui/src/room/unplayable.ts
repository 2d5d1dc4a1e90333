import { type Room, RoomEvent, SubscriptionError } from 'livekit-client';

/**
 * Of each room the tracks that this browser cannot decode. The server says so once, and perhaps
 * before there is a tile; the SDK passes it on and keeps it nowhere.
 */
const known = new WeakMap<Room, Set<string>>();

/** Remembers from now on what cannot be played. */
export function noteUnplayable(room: Room): void {
  const tracks = new Set<string>();
  known.set(room, tracks);
  room.on(RoomEvent.TrackSubscriptionFailed, (track, _, reason) => {
    if (reason === SubscriptionError.SE_CODEC_UNSUPPORTED) tracks.add(track);
  });
  // It comes after all: in another codec, for instance.
  room.on(RoomEvent.TrackSubscribed, (_, publication) => tracks.delete(publication.trackSid));
  room.on(RoomEvent.TrackUnpublished, (publication) => tracks.delete(publication.trackSid));
}

export function isUnplayable(room: Room, track: string): boolean {
  return known.get(room)?.has(track) ?? false;
}

/** What is said instead of a picture, and what can be done about it. */
export type UnplayableText = { what: string; advice: string };

/** `mimeType`: of the track, as `video/H265`. `isCamera`: a security camera, not a person. */
export function unplayableText(mimeType: string | undefined, isCamera: boolean): UnplayableText {
  const codec = codecName(mimeType);
  if (isCamera) {
    return {
      what: `This browser cannot play ${codec ?? 'this camera'}`,
      advice: 'Ask the operator to set the camera to H.264.',
    };
  }
  const which = codec === null ? '' : ` (${codec})`;
  return {
    what: `This browser cannot play this picture${which}`,
    advice: 'Another browser may.',
  };
}

/** As people write it; `null` if the server does not say it. */
function codecName(mimeType: string | undefined): string | null {
  const name = mimeType?.split('/')[1]?.toUpperCase() ?? '';
  switch (name) {
    case '':
      return null;
    case 'H264':
      return 'H.264';
    case 'H265':
      return 'H.265';
    default:
      return name;
  }
}
