import { describe, expect, it } from 'vitest';
import { qrPath } from '../ui/QrCode.tsx';
import { bitrateText, durationText, expiryText, memoryText, usesText } from './format.ts';
import { FIRST_INVITE, readInviteForm } from './inviteForm.ts';
import { inviteUrls } from './inviteUrls.ts';

describe('invite form', () => {
  const form = { ...FIRST_INVITE, room: ' Tea ' };

  it('turns empty fields into "no bound"', () => {
    expect(readInviteForm({ ...form, expiry: '', uses: '' }, [])).toEqual({
      ok: true,
      invite: { room: 'Tea', role: 'talk', expiresInS: null, uses: null, cameras: null },
    });
    expect(readInviteForm({ ...form, expiry: '3600', uses: '5', role: 'moderate' }, [])).toEqual({
      ok: true,
      invite: { room: 'Tea', role: 'moderate', expiresInS: 3600, uses: 5, cameras: null },
    });
  });

  it.each([
    { room: '  ' },
    { room: 'a/b' },
    { room: 'x'.repeat(65) },
    { uses: '0' },
    { uses: '-1' },
    { uses: '1.5' },
    { uses: 'many' },
    { uses: '999999999' },
  ])('refuses %j before it is sent', (changed) => {
    expect(readInviteForm({ ...form, ...changed }, []).ok).toBe(false);
  });
});

describe('invite urls', () => {
  const created = (urls: string[]) => ({
    invite: {
      id: '1',
      room: 'Tea',
      role: 'watch' as const,
      expiresAt: null,
      usesLeft: null,
      uses: 0,
      cameras: null,
      createdAt: 0,
    },
    path: '/sfu#/join/T',
    urls,
  });

  it('do not send a guest to the admin’s own machine first', () => {
    const urls = inviteUrls(created(['https://192.0.2.1:8081/sfu#/join/T']), 'https://localhost');
    expect(urls).toEqual(['https://192.0.2.1:8081/sfu#/join/T', 'https://localhost/sfu#/join/T']);
  });

  it('begin with the address by which the admin came', () => {
    const urls = inviteUrls(
      created(['https://192.0.2.1:8081/sfu#/join/T', 'https://call.test/sfu#/join/T']),
      'https://call.test',
    );
    expect(urls).toEqual(['https://call.test/sfu#/join/T', 'https://192.0.2.1:8081/sfu#/join/T']);
  });
});

describe('format', () => {
  it('writes numbers for people', () => {
    expect(bitrateText(32_400)).toBe('32 kbit/s');
    expect(bitrateText(1_740_000)).toBe('1.7 Mbit/s');
    expect(memoryText({ residentBytes: 20 << 20, boundBytes: null })).toBe('20 MB, no bound');
    expect(memoryText({ residentBytes: 20 << 20, boundBytes: 64 << 20 })).toBe('20 MB of 64 MB');
    expect(memoryText({ residentBytes: null, boundBytes: null })).toBe('unknown, no bound');
    expect(durationText(0)).toBe('0 s');
    expect(durationText(3600)).toBe('1 h');
    expect(durationText(93_784)).toBe('1 d 2 h');
    expect(expiryText(null, 5)).toBe('never ends');
    expect(expiryText(4, 5)).toBe('has ended');
    expect(expiryText(65, 5)).toBe('ends in 1 min');
    expect(usesText(3, 1)).toBe('used once, 3 left');
    expect(usesText(null, 0)).toBe('not used yet');
  });
});

describe('qrPath', () => {
  it('draws one bar for a run of dark modules', () => {
    expect(qrPath([[true, true, false, true]])).toBe('M0 0h2v1H0zM3 0h1v1H3z');
  });
});
