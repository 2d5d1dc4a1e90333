import { ConnectionState, Room, RoomEvent } from 'livekit-client';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { releaseHeldEvents } from './heldEvents.ts';

/** A room that is back from a restart, while its engine still counts as coming back. */
function returned() {
  const room = new Room();
  // biome-ignore lint/complexity/useLiteralKeys: private
  room['maybeCreateEngine']();
  room.state = ConnectionState.Connected;
  const pending = vi.spyOn(room.engine, 'pendingReconnect', 'get').mockReturnValue(true);
  const met = vi.fn();
  room.on(RoomEvent.MediaDevicesChanged, met);
  releaseHeldEvents(room);
  room.emit(RoomEvent.Reconnected);
  // What the library does with every event of somebody else's.
  // biome-ignore lint/complexity/useLiteralKeys: private
  room['emitWhenConnected'](RoomEvent.MediaDevicesChanged);
  return { room, pending, met };
}

describe('releaseHeldEvents', () => {
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  it('does not leave out who comes back just after us when the server restarts', () => {
    vi.useFakeTimers();
    const { pending, met } = returned();
    vi.advanceTimersByTime(2000);
    expect(met).not.toHaveBeenCalled();
    pending.mockReturnValue(false);
    vi.advanceTimersByTime(2000);
    expect(met).toHaveBeenCalledOnce();
  });

  it('leaves them to the library when the connection is lost again', () => {
    vi.useFakeTimers();
    const { room, pending, met } = returned();
    room.emit(RoomEvent.Reconnecting);
    pending.mockReturnValue(false);
    vi.advanceTimersByTime(2000);
    expect(met).not.toHaveBeenCalled();
  });
});
