import { type Participant, Track } from 'livekit-client';
import { describe, expect, it } from 'vitest';
import { actsOn, muteAll, removal } from './moderation.ts';

type Facts = {
  identity: string;
  open?: Track.Source[];
  muted?: Track.Source[];
  silent?: boolean;
  watches?: boolean;
};

function person(facts: Facts, isLocal = false) {
  const { identity, open = [], muted = [], silent = false, watches = false } = facts;
  const publication = (source: Track.Source) => ({
    trackSid: `TR_${identity}_${source}`,
    isMuted: muted.includes(source),
  });
  return {
    identity,
    isLocal,
    permissions: { canPublish: !silent },
    attributes: watches ? { 'umbrella.role': 'watch' } : {},
    getTrackPublication: (source: Track.Source) =>
      [...open, ...muted].includes(source) ? publication(source) : undefined,
  } as unknown as Participant;
}

const { Camera, Microphone, ScreenShare } = Track.Source;

describe('what a moderator can do', () => {
  it('is only what makes a difference', () => {
    const ann = person({ identity: 'ann', open: [Camera, ScreenShare], muted: [Microphone] });
    const labels = actsOn('tea', ann).map(({ label }) => label);
    expect(labels).toEqual([
      'Switch the camera off',
      'Stop the shared screen',
      'Do not let them talk or share',
    ]);
    const silent = actsOn('tea', person({ identity: 'bob', silent: true }));
    expect(silent).toHaveLength(1);
    expect(silent[0]?.body).toEqual({
      room: 'tea',
      identity: 'bob',
      permission: { canPublish: true },
    });
  });

  it('does not offer what an invite to watch does not allow', () => {
    expect(actsOn('tea', person({ identity: 'eve', silent: true, watches: true }))).toEqual([]);
  });

  it('names the room and the person', () => {
    expect(removal('tea', person({ identity: 'ann' })).body).toEqual({
      room: 'tea',
      identity: 'ann',
    });
  });

  it('mutes the others, not oneself and not who is muted', () => {
    const me = person({ identity: 'me', open: [Microphone] }, true);
    const ann = person({ identity: 'ann', open: [Microphone, Camera] });
    const bob = person({ identity: 'bob', muted: [Microphone] });
    const acts = muteAll('tea', [me, ann, bob]);
    expect(acts.map(({ body }) => body.identity)).toEqual(['ann']);
    expect(acts[0]?.body).toMatchObject({ trackSid: `TR_ann_${Microphone}`, muted: true });
  });
});
