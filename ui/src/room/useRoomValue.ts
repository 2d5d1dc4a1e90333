import { useRoomContext } from '@livekit/components-react';
import type { RoomEvent } from 'livekit-client';
import { useCallback, useSyncExternalStore } from 'react';

/** A plain value that is read again whenever one of the room's events fires. */
export function useRoomValue<T extends string | number | boolean | null>(
  events: readonly RoomEvent[],
  read: () => T,
): T {
  const room = useRoomContext();
  const subscribe = useCallback(
    (changed: () => void) => {
      for (const event of events) room.on(event, changed);
      return () => {
        for (const event of events) room.off(event, changed);
      };
    },
    [room, events],
  );
  return useSyncExternalStore(subscribe, read);
}
