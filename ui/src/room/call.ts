import {
  type DisconnectReason,
  LocalAudioTrack,
  LocalVideoTrack,
  type Room,
  RoomEvent,
  Track,
} from 'livekit-client';
import { socketUrl } from '../api/prefix.ts';
import type { JoinGrant } from '../api/types.ts';
import type { OwnMedia } from '../lobby/CallStage.tsx';
import type { Choices } from '../lobby/choices.ts';
import type { LeaveReason } from '../lobby/LeftPage.tsx';
import { createRoom } from './createRoom.ts';
import { reasonOfDisconnect, reasonOfFailure } from './leaveReason.ts';

/** How far a call is. Interruptions in between are the room object's own state. */
export type CallState =
  | { kind: 'connecting' }
  | { kind: 'connected' }
  | { kind: 'ended'; reason: LeaveReason };

/** How long the media connection may take. */
const MEDIA_TIMEOUT_MS = 15_000;
/** How long joining may take as a whole: the SDK by itself would try some things for ever. */
const CONNECT_DEADLINE_MS = 40_000;

/** One call from joining to its end; lives outside of React, which only watches it. */
export class Call {
  readonly room: Room;
  /** Devices that could not be sent when the call began. */
  readonly unsent: Track.Source[] = [];
  private state: CallState = { kind: 'connecting' };
  private readonly watchers = new Set<() => void>();
  private leaving = false;
  private readonly deadline: ReturnType<typeof setTimeout>;
  private detached: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly grant: JoinGrant,
    media: OwnMedia,
    choices: Choices,
  ) {
    this.room = createRoom(choices);
    this.room.on(RoomEvent.Disconnected, this.onDisconnected);
    // Before connecting: they go out as soon as the server says yes, not after the first picture.
    if (grant.canPublish) this.publish(media);
    else stopAll(media);
    this.deadline = setTimeout(this.onDeadline, CONNECT_DEADLINE_MS);
    this.room
      .connect(socketUrl(grant.prefix), grant.token, { peerConnectionTimeout: MEDIA_TIMEOUT_MS })
      .then(this.onConnected, this.onFailed);
  }

  /** For `useSyncExternalStore`. */
  readonly subscribe = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  };

  /** For `useSyncExternalStore`. */
  readonly getState = (): CallState => this.state;

  /** A token of this call that is still valid: the server sends new ones as time goes by. */
  token(): string {
    const { token } = this.room.engine as unknown as { token?: string };
    return token ?? this.grant.token;
  }

  /** The person leaves. */
  readonly leave = (): void => {
    this.leaving = true;
    this.end('self');
    void this.room.disconnect();
  };

  /** The page shows the call. */
  attach(): void {
    clearTimeout(this.detached);
  }

  /** The page no longer shows the call: it ends, unless it is shown again at once. */
  detach(): void {
    this.detached = setTimeout(this.leave, 0);
  }

  private publish(media: OwnMedia): void {
    if (media.microphone !== null) {
      const track = new LocalAudioTrack(media.microphone, media.microphone.getConstraints(), false);
      this.send(track, Track.Source.Microphone);
    }
    if (media.camera !== null) {
      const track = new LocalVideoTrack(media.camera, media.camera.getConstraints(), false);
      this.send(track, Track.Source.Camera);
    }
  }

  private send(track: LocalAudioTrack | LocalVideoTrack, source: Track.Source): void {
    this.room.localParticipant.publishTrack(track, { source }).catch(() => {
      track.stop();
      if (this.state.kind === 'ended') return;
      this.unsent.push(source);
      this.tell();
    });
  }

  private readonly onConnected = (): void => {
    if (this.state.kind !== 'connecting') return;
    clearTimeout(this.deadline);
    this.state = { kind: 'connected' };
    this.tell();
  };

  private readonly onDeadline = (): void => {
    this.end('unreachable');
    void this.room.disconnect();
  };

  private readonly onFailed = (error: unknown): void => {
    this.end(this.leaving ? 'self' : reasonOfFailure(error));
  };

  private readonly onDisconnected = (reason?: DisconnectReason): void => {
    // While connecting, the failed attempt itself knows better why.
    if (this.state.kind === 'connected') this.end(reasonOfDisconnect(reason));
  };

  private end(reason: LeaveReason): void {
    if (this.state.kind === 'ended') return;
    clearTimeout(this.deadline);
    this.state = { kind: 'ended', reason };
    for (const publication of this.room.localParticipant.trackPublications.values()) {
      publication.track?.stop();
    }
    this.tell();
  }

  private tell(): void {
    for (const watcher of this.watchers) watcher();
  }
}

function stopAll(media: OwnMedia): void {
  media.camera?.stop();
  media.microphone?.stop();
}
