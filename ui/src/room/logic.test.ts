import { ConnectionError, DisconnectReason } from 'livekit-client';
import { describe, expect, it } from 'vitest';
import { hueOf, initials } from './initials.ts';
import { reasonOfDisconnect, reasonOfFailure } from './leaveReason.ts';
import { linkParts } from './linkParts.ts';
import { mayChat, maySend } from './permission.ts';
import { shortcutOf } from './shortcuts.ts';

describe('initials', () => {
  it.each([
    ['Ada Lovelace', 'AL'],
    ['Ada', 'A'],
    ['  Anna  Maria von Ü ', 'AÜ'],
    ['', '?'],
    ['🦊 fox', '🦊F'],
  ])('of %j are %s', (name, expected) => {
    expect(initials(name)).toBe(expected);
  });

  it('come in a colour that stays', () => {
    expect(hueOf('guest-1')).toBe(hueOf('guest-1'));
    expect(hueOf('guest-1')).toBeLessThan(360);
  });
});

describe('linkParts', () => {
  it('finds an address and leaves the full stop to the sentence', () => {
    expect(linkParts('See https://a.test/x?y=1. Then')).toEqual([
      { at: 0, text: 'See ', href: null },
      { at: 4, text: 'https://a.test/x?y=1', href: 'https://a.test/x?y=1' },
      { at: 24, text: '. Then', href: null },
    ]);
  });

  it('never makes something that runs into a link', () => {
    expect(linkParts('javascript:alert(1) data:text/html,x')).toHaveLength(1);
  });

  it('loses nothing of a message', () => {
    for (const text of [
      '',
      'plain',
      'http://',
      'https://a.test',
      'a https://b.test https://c.test!',
    ]) {
      expect(
        linkParts(text)
          .map((part) => part.text)
          .join(''),
      ).toBe(text);
    }
  });
});

describe('shortcutOf', () => {
  const press = (key: string, more = {}) => ({
    key,
    ctrlKey: false,
    metaKey: false,
    altKey: false,
    repeat: false,
    target: document.body,
    ...more,
  });

  it('mutes by M, also with caps lock', () => {
    expect(shortcutOf(press('m'))).toBe('microphone');
    expect(shortcutOf(press('M'))).toBe('microphone');
  });

  it('does not mute while somebody writes a message', () => {
    expect(shortcutOf(press('m', { target: document.createElement('textarea') }))).toBeNull();
    expect(shortcutOf(press('Escape', { target: document.createElement('textarea') }))).toBe(
      'close',
    );
  });

  it('leaves the browser’s own keys alone', () => {
    expect(shortcutOf(press('c', { ctrlKey: true }))).toBeNull();
    expect(shortcutOf(press('v', { metaKey: true }))).toBeNull();
    expect(shortcutOf(press('m', { repeat: true }))).toBeNull();
  });
});

describe('leave reasons', () => {
  it('tell removal, a second self and a deleted room apart', () => {
    expect(reasonOfDisconnect(DisconnectReason.PARTICIPANT_REMOVED)).toBe('removed');
    expect(reasonOfDisconnect(DisconnectReason.DUPLICATE_IDENTITY)).toBe('duplicate');
    expect(reasonOfDisconnect(DisconnectReason.ROOM_DELETED)).toBe('room_deleted');
    expect(reasonOfDisconnect(DisconnectReason.SERVER_SHUTDOWN)).toBe('server_restart');
    expect(reasonOfDisconnect(undefined)).toBe('lost');
  });

  it('tell a refusal from a network that is down', () => {
    expect(reasonOfFailure(ConnectionError.notAllowed('expired', 401))).toBe('refused');
    expect(reasonOfFailure(ConnectionError.serverUnreachable('no'))).toBe('unreachable');
    expect(reasonOfFailure(ConnectionError.internal('no pc'))).toBe('media_blocked');
    expect(reasonOfFailure(new TypeError('x'))).toBe('unreachable');
  });
});

describe('permission', () => {
  const all = { canPublish: true, canPublishData: true, canPublishSources: [] };

  it('allows every source when none is named', () => {
    expect(maySend(all, 'screen')).toBe(true);
    expect(maySend(undefined, 'camera')).toBe(true);
  });

  it('hides the buttons of sources that are not allowed', () => {
    const voice = { ...all, canPublishSources: [2] };
    expect(maySend(voice, 'microphone')).toBe(true);
    expect(maySend(voice, 'camera')).toBe(false);
    expect(maySend({ ...all, canPublish: false }, 'microphone')).toBe(false);
    expect(mayChat({ ...all, canPublishData: false })).toBe(false);
  });
});
