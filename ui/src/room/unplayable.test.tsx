import { RoomContext, type TrackReference } from '@livekit/components-react';
import { act, render, screen } from '@testing-library/react';
import {
  type RemoteParticipant,
  RemoteTrackPublication,
  Room,
  RoomEvent,
  SubscriptionError,
  Track,
} from 'livekit-client';
import { describe, expect, it } from 'vitest';
import { noteUnplayable, unplayableText } from './unplayable.ts';
import { usePicture } from './usePicture.ts';

const NOBODY = {} as RemoteParticipant;

/** A track as the SDK makes it of what the server says. */
function published(sid: string, mimeType: string): TrackReference {
  const info = { sid, mimeType, name: '', source: 1, muted: false, width: 0 };
  const publication = new RemoteTrackPublication(Track.Kind.Video, info as never, true);
  return { participant: NOBODY, publication, source: Track.Source.Camera };
}

function Shown({ track }: { track: TrackReference }) {
  return <p>{usePicture(track, null)}</p>;
}

function show(room: Room, track: TrackReference) {
  return (
    <RoomContext.Provider value={room}>
      <Shown track={track} />
    </RoomContext.Provider>
  );
}

describe('a picture that this browser cannot decode', () => {
  it('is not waited for, whether there was a tile when the server said so or not', () => {
    const room = new Room();
    noteUnplayable(room);
    const fail = (sid: string, reason: SubscriptionError) => {
      room.emit(RoomEvent.TrackSubscriptionFailed, sid, NOBODY, reason);
    };
    fail('TR_1', SubscriptionError.SE_CODEC_UNSUPPORTED);
    const { rerender } = render(show(room, published('TR_1', 'video/H265')));
    expect(screen.getByText('unplayable')).toBeVisible();
    // The camera was set to another codec, so it is another track.
    rerender(show(room, published('TR_2', 'video/H264')));
    expect(screen.getByText('loading')).toBeVisible();
    act(() => fail('TR_2', SubscriptionError.SE_TRACK_NOTFOUND));
    expect(screen.getByText('loading')).toBeVisible();
    act(() => fail('TR_2', SubscriptionError.SE_CODEC_UNSUPPORTED));
    expect(screen.getByText('unplayable')).toBeVisible();
  });

  it('is not said any more when the track comes after all', () => {
    const room = new Room();
    noteUnplayable(room);
    const track = published('TR_1', 'video/H265');
    const reason = SubscriptionError.SE_CODEC_UNSUPPORTED;
    room.emit(RoomEvent.TrackSubscriptionFailed, 'TR_1', NOBODY, reason);
    render(show(room, track));
    const publication = track.publication as RemoteTrackPublication;
    act(() => {
      room.emit(RoomEvent.TrackSubscribed, {} as never, publication, NOBODY);
    });
    expect(screen.getByText('loading')).toBeVisible();
  });

  it('is explained to whoever looks, in words for people', () => {
    const camera = unplayableText('video/H265', true);
    expect(camera.what).toBe('This browser cannot play H.265');
    expect(camera.advice).toContain('H.264');
    expect(unplayableText('video/AV1', false).what).toBe(
      'This browser cannot play this picture (AV1)',
    );
    expect(unplayableText('', false).what).toBe('This browser cannot play this picture');
    expect(unplayableText(undefined, true).what).toBe('This browser cannot play this camera');
  });
});
