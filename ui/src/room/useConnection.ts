import { useRoomContext } from '@livekit/components-react';
import { type ConnectionState, RoomEvent } from 'livekit-client';
import { useRoomValue } from './useRoomValue.ts';

const EVENTS = [RoomEvent.ConnectionStateChanged] as const;

/**
 * How the room is connected.
 *
 * Unlike the library's hook of that purpose this one misses no change between a first rendering
 * and its effects: a fast server connects in between.
 */
export function useConnection(): ConnectionState {
  const room = useRoomContext();
  return useRoomValue(EVENTS, () => room.state);
}
