import { act, render, screen } from '@testing-library/react';
import { Room } from 'livekit-client';
import { describe, expect, it } from 'vitest';
import type { Call } from './call.ts';
import { NoticeProvider } from './notices.tsx';
import { useRefusalNotice } from './useOwnMedia.ts';

function Listening({ call }: { call: Call }) {
  useRefusalNotice(call);
  return null;
}

describe('a track that the server does not take', () => {
  it('leaves its publisher without a reason', () => {
    const room = new Room();
    render(
      <NoticeProvider>
        <Listening call={{ room } as Call} />
      </NoticeProvider>,
    );
    const answer = (asked: string, message: string) =>
      act(() => {
        const response = { message, request: { case: asked } };
        room.engine.emit('signalRequestResponse', response as never);
      });
    answer('updateMetadata', 'something else');
    answer('addTrack', 'the server has no memory left for another track');
    expect(screen.queryByText(/something else/i)).toBeNull();
    const said = screen.getAllByText('The server has no memory left for another track.');
    expect(said.length).toBeGreaterThan(0);
  });
});
