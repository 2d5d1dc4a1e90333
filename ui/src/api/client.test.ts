import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { api, CallError } from './client.ts';
import { errorText, needsLogin } from './errors.ts';
import { apiUrl, prefixOf, socketUrl } from './prefix.ts';

const fetchMock = vi.fn<typeof fetch>();

beforeEach(() => {
  vi.stubGlobal('fetch', fetchMock);
  fetchMock.mockReset();
});
afterEach(() => vi.unstubAllGlobals());

function json(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), { status });
}

const session = { signedIn: true, passwordSet: true, csrf: 'c-1', version: '1', serverName: 'U' };

describe('prefix', () => {
  it('is empty at the root and has no slash at its end elsewhere', () => {
    expect(prefixOf('https://a.test/')).toBe('');
    expect(prefixOf('https://a.test/umbrella/')).toBe('/umbrella');
    expect(apiUrl('/api/session', 'https://a.test/x/y/')).toBe('/x/y/api/session');
  });

  it('leads to a secure socket from a secure page only', () => {
    expect(socketUrl('', 'https://a.test:8081/sfu#/join/x')).toBe('wss://a.test:8081');
    expect(socketUrl('/umbrella', 'http://localhost/umbrella/sfu')).toBe('ws://localhost/umbrella');
  });
});

describe('client', () => {
  it('proves a change to be its own by the token of the session', async () => {
    fetchMock.mockResolvedValueOnce(json(200, session));
    await api.session();
    fetchMock.mockResolvedValueOnce(new Response(null, { status: 204 }));
    await api.deleteRoom('a/b c');
    const [url, init] = fetchMock.mock.calls[1] ?? [];
    expect(url).toBe('/api/admin/rooms/a%2Fb%20c');
    expect(init?.headers).toMatchObject({ 'X-Umbrella-CSRF': 'c-1' });
  });

  it('passes the server’s own words on', async () => {
    fetchMock.mockResolvedValueOnce(json(410, { code: 'expired', message: 'It has ended.' }));
    const error = await api.invite('x').catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(CallError);
    expect(error).toMatchObject({ code: 'expired', status: 410 });
    expect(errorText(error)).toBe('It has ended.');
  });

  it('has words of its own for a proxy’s error page', async () => {
    fetchMock.mockResolvedValueOnce(new Response('<h1>Bad gateway</h1>', { status: 502 }));
    const error = await api.rooms().catch((failure: unknown) => failure);
    expect(errorText(error)).toBe('The server answered 502.');
  });

  it('has words for no network and for no answer', async () => {
    fetchMock.mockRejectedValueOnce(new TypeError('Failed to fetch'));
    await expect(api.rooms()).rejects.toMatchObject({ code: 'offline' });
    fetchMock.mockRejectedValueOnce(new DOMException('late', 'TimeoutError'));
    await expect(api.rooms()).rejects.toMatchObject({ code: 'timeout' });
  });

  it('does not take rubbish for an answer', async () => {
    fetchMock.mockResolvedValueOnce(new Response('<html>', { status: 200 }));
    await expect(api.rooms()).rejects.toMatchObject({ code: 'internal' });
  });
});

describe('errors', () => {
  it('say how long to wait', () => {
    const text = (wait: number) =>
      errorText(new CallError('rate_limited', 'Too often.', 429, wait));
    expect(text(1)).toBe('Too often. Try again in 1 second.');
    expect(text(30)).toBe('Too often. Try again in 30 seconds.');
    expect(text(90)).toBe('Too often. Try again in 2 minutes.');
  });

  it('ask for a sign-in only when the session is at fault', () => {
    expect(needsLogin(new CallError('unauthorized', '', 401))).toBe(true);
    expect(needsLogin(new CallError('forbidden', '', 403))).toBe(false);
    expect(needsLogin(new TypeError())).toBe(false);
  });

  it('do not show a fault of the page in technical words', () => {
    expect(errorText(new TypeError('x is undefined'))).not.toContain('undefined');
  });
});
