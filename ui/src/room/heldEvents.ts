import { type Room, RoomEvent } from 'livekit-client';

/** How often to look whether the library is done, in milliseconds: what a person may notice. */
const LOOK_MS = 100;

/**
 * Lets out the events that the library holds back while it comes back from a server's restart.
 *
 * It says that it has reconnected as soon as media flows, but goes on holding back events for two
 * seconds, and then never emits them (livekit-client 2.23, `waitForPCReconnected`): whoever comes
 * back a moment after us would be neither seen nor heard.
 */
export function releaseHeldEvents(room: Room): void {
  room.on(RoomEvent.Reconnected, () => {
    const timer = setInterval(() => {
      if (room.engine?.pendingReconnect) return;
      clearInterval(timer);
      // biome-ignore lint/complexity/useLiteralKeys: private, and checked by the compiler this way
      room['emitBufferedEvents']();
    }, LOOK_MS);
    room.once(RoomEvent.Disconnected, () => clearInterval(timer));
    room.once(RoomEvent.Reconnecting, () => clearInterval(timer));
  });
}
