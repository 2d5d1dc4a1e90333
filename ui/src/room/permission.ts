import { Track } from 'livekit-client';

/** What a person can send from this page. */
export type OwnKind = 'microphone' | 'camera' | 'screen';

/** What the server allows; sources by their numbers in the protocol. */
export type Permission = {
  canPublish: boolean;
  canPublishData: boolean;
  canPublishSources: readonly number[];
};

export const SOURCE_OF: Record<OwnKind, Track.Source> = {
  microphone: Track.Source.Microphone,
  camera: Track.Source.Camera,
  screen: Track.Source.ScreenShare,
};

const NUMBER_OF: Record<OwnKind, number> = { camera: 1, microphone: 2, screen: 3 };

/** An empty list of sources allows all of them. While nothing is known, the grant decides. */
export function maySend(permission: Permission | undefined, kind: OwnKind): boolean {
  if (permission === undefined) return true;
  if (!permission.canPublish) return false;
  const sources = permission.canPublishSources;
  return sources.length === 0 || sources.includes(NUMBER_OF[kind]);
}

/** Whether messages may be sent. */
export function mayChat(permission: Permission | undefined): boolean {
  return permission?.canPublishData ?? true;
}
