import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { App } from './App.tsx';

type Reply = { status: number; body?: unknown };
const replies = new Map<string, Reply>();
const calls: string[] = [];

beforeEach(() => {
  replies.clear();
  calls.length = 0;
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    const call = `${init.method} ${url}`;
    calls.push(call);
    const reply = replies.get(call) ?? { status: 404, body: { code: 'not_found', message: 'No.' } };
    return new Response(JSON.stringify(reply.body), { status: reply.status });
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
  history.replaceState(null, '', '/sfu');
});

const session = { passwordSet: true, csrf: '', version: '1', serverName: 'Umbrella' };
const signedOut = { status: 200, body: { ...session, signedIn: false } };
const signedIn = { status: 200, body: { ...session, signedIn: true, csrf: 'c' } };

function open(hash: string): void {
  history.replaceState(null, '', `/sfu${hash}`);
  render(<App />);
}

describe('App', () => {
  it('tells somebody without a link what they need', async () => {
    replies.set('GET /api/session', signedOut);
    open('');
    expect(await screen.findByRole('heading', { name: 'You need an invite link' })).toBeVisible();
    expect(screen.getByRole('link', { name: 'Sign in as admin' })).toHaveAttribute(
      'href',
      '/sfu#/login',
    );
  });

  it('points a new operator to the admin link while there is no password', async () => {
    replies.set('GET /api/session', {
      status: 200,
      body: { ...session, signedIn: false, passwordSet: false },
    });
    open('#/');
    expect(await screen.findByText('umbrella admin-link')).toBeVisible();
  });

  it('sends a stranger to sign in, then to the page they wanted', async () => {
    replies.set('GET /api/session', signedOut);
    replies.set('POST /api/login', signedIn);
    replies.set('GET /api/admin/keys', { status: 200, body: [] });
    open('#/admin/keys');
    await userEvent.type(await screen.findByLabelText('Admin password'), 'secret-enough');
    replies.set('GET /api/session', signedIn);
    await userEvent.click(screen.getByRole('button', { name: 'Sign in' }));
    expect(await screen.findByText('There are no API keys.')).toBeVisible();
    expect(location.hash).toBe('#/admin/keys');
  });

  it('says that a password is wrong', async () => {
    replies.set('POST /api/login', {
      status: 401,
      body: { code: 'unauthorized', message: 'This is not the password.' },
    });
    open('#/login');
    await userEvent.type(screen.getByLabelText('Admin password'), 'guess');
    await userEvent.click(screen.getByRole('button', { name: 'Sign in' }));
    expect(await screen.findByRole('alert')).toHaveTextContent('This is not the password.');
  });

  it('does not send a password that was mistyped', async () => {
    open('#/setup/code');
    await userEvent.type(screen.getByLabelText('New password'), 'long enough');
    await userEvent.type(screen.getByLabelText('Repeat password'), 'long enouhg');
    await userEvent.click(screen.getByRole('button', { name: 'Set password' }));
    expect(screen.getByRole('alert')).toHaveTextContent('not the same');
    expect(calls).toEqual([]);
  });

  it('says that an invite has ended, and asks for no device', async () => {
    replies.set('GET /api/invite/T', {
      status: 410,
      body: { code: 'expired', message: 'This invite has expired.' },
    });
    open('#/join/T');
    expect(await screen.findByRole('alert')).toHaveTextContent('This invite has expired.');
    expect(screen.queryByRole('button', { name: 'Join' })).toBeNull();
  });
});
