import { describe, expect, it } from 'vitest';
import { formatRoute, hrefOf, parseRoute, type Route } from './route.ts';

describe('route', () => {
  const routes: Route[] = [
    { kind: 'start' },
    { kind: 'join', token: 'a-B_9' },
    { kind: 'join', token: 'with/slash and %' },
    { kind: 'setup', code: 'x1' },
    { kind: 'login', next: null },
    { kind: 'login', next: { kind: 'admin', tab: 'status' } },
    { kind: 'login', next: { kind: 'room', room: 'Tea & cake' } },
    { kind: 'admin', tab: 'rooms' },
    { kind: 'admin', tab: 'keys' },
    { kind: 'room', room: 'Größe 50 %' },
  ];

  it.each(routes)('comes back from its own address: %j', (route) => {
    expect(parseRoute(formatRoute(route))).toEqual(route);
  });

  it.each(['', '#', '#/'])('opens the start page for %j', (hash) => {
    expect(parseRoute(hash)).toEqual({ kind: 'start' });
  });

  it.each(['#/join', '#/join/', '#/nowhere', '#/admin/secrets', '#/join/a/b', '#//x'])(
    'does not take a cut or foreign link for a place: %j',
    (hash) => {
      expect(parseRoute(hash)).toEqual({ kind: 'unknown' });
    },
  );

  it('does not fail on a link with broken escapes', () => {
    expect(parseRoute('#/join/100%')).toEqual({ kind: 'join', token: '100%' });
  });

  it('never goes from one sign-in to another, nor to somebody’s invite', () => {
    expect(parseRoute(`#/login/${encodeURIComponent('#/login/x')}`)).toEqual({
      kind: 'login',
      next: null,
    });
    expect(parseRoute(`#/login/${encodeURIComponent('#/join/x')}`)).toEqual({
      kind: 'login',
      next: null,
    });
  });

  it('keeps the path in an address, since <base> would replace it', () => {
    expect(hrefOf({ kind: 'admin', tab: 'keys' })).toBe(`${location.pathname}#/admin/keys`);
  });
});
