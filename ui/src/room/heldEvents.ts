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
  let timer: ReturnType<typeof setInterval> | undefined;
  const stop = () => clearInterval(timer);
  const look = () => {
    if (room.engine?.pendingReconnect) return;
    stop();
    // biome-ignore lint/complexity/useLiteralKeys: private, and checked by the compiler this way
    room['emitBufferedEvents']();
  };
  room
    .on(RoomEvent.Reconnected, () => {
      stop();
      timer = setInterval(look, LOOK_MS);
    })
    .on(RoomEvent.Reconnecting, stop)
    .on(RoomEvent.Disconnected, stop);
}
