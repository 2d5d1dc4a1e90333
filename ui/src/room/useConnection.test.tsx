import { RoomContext } from '@livekit/components-react';
import { render, screen } from '@testing-library/react';
import { ConnectionState, Room, RoomEvent } from 'livekit-client';
import { useLayoutEffect } from 'react';
import { describe, expect, it } from 'vitest';
import { useConnection } from './useConnection.ts';

function Shown() {
  return <p>{useConnection()}</p>;
}

/** Connects after the first rendering, and before any effect that could listen to it. */
function Connects({ room }: { room: Room }) {
  useLayoutEffect(() => {
    room.state = ConnectionState.Connected;
    room.emit(RoomEvent.ConnectionStateChanged, ConnectionState.Connected);
  }, [room]);
  return null;
}

describe('useConnection', () => {
  it('does not show a call as interrupted that connected while it was first drawn', () => {
    const room = new Room();
    render(
      <RoomContext.Provider value={room}>
        <Connects room={room} />
        <Shown />
      </RoomContext.Provider>,
    );
    expect(screen.getByText('connected')).toBeVisible();
  });
});
