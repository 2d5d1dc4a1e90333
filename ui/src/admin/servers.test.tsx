import { render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Nearby, TrunkEntry, TrunkOverview } from '../api/trunkTypes.ts';
import { ServersTab } from './ServersTab.tsx';
import {
  allowedText,
  FIRST_ALLOW,
  FIRST_JOIN,
  isPlain,
  joinUrls,
  readAllowForm,
  readJoinForm,
  roomPatterns,
} from './serverForms.ts';

const SECRET = 'umbrella-join-v1.abcdef';

const entry: TrunkEntry = {
  key: 'k1',
  url: 'https://cloud.example.org',
  rooms: [],
  moderate: true,
  insecure: false,
  configured: false,
  state: 'connected',
  why: null,
  retryInS: null,
  fingerprint: null,
  neighbour: {
    node: 'ND_c',
    name: 'Cloud',
    version: '0.1.0',
    media: true,
    rttMs: 23.4,
    since: 0,
  },
};

const server = {
  key: 'k2',
  name: 'Hut',
  rooms: ['site-*'],
  moderate: false,
  expiresAt: null,
  createdAt: 1,
  joined: false,
  configured: false,
  connected: [],
};

const overview: TrunkOverview = {
  node: 'ND_me',
  name: 'Box',
  media: true,
  fingerprint: 'AA:BB',
  entries: [],
  allowed: [],
  refusals: [],
};

describe('forms about servers', () => {
  it('turn what was typed into requests', () => {
    const join = { ...FIRST_JOIN, url: ' cloud.example.org ', secret: ` ${SECRET}\n` };
    expect(readJoinForm({ ...join, rooms: ' a*, b ,' })).toEqual({
      ok: true,
      value: {
        url: 'cloud.example.org',
        secret: SECRET,
        rooms: ['a*', 'b'],
        moderate: true,
        insecure: false,
      },
    });
    expect(readAllowForm({ ...FIRST_ALLOW, name: ' Hut ' })).toEqual({
      ok: true,
      value: { name: 'Hut', rooms: [], expiresInS: 604_800, moderate: true },
    });
    const never = readAllowForm({ ...FIRST_ALLOW, name: 'Hut', expiry: '' });
    expect(never.ok && never.value.expiresInS).toBeNull();
  });

  it('refuse what cannot work before it is sent', () => {
    expect(readJoinForm({ ...FIRST_JOIN, secret: SECRET }).ok).toBe(false);
    expect(readJoinForm({ ...FIRST_JOIN, url: 'a' }).ok).toBe(false);
    expect(readJoinForm({ ...FIRST_JOIN, url: 'a', secret: 'password' }).ok).toBe(false);
    expect(readAllowForm({ ...FIRST_ALLOW, name: ' ' }).ok).toBe(false);
    expect(readAllowForm({ ...FIRST_ALLOW, name: 'x'.repeat(65) }).ok).toBe(false);
  });

  it('do not leave encryption out because the address was changed later', () => {
    expect([isPlain('http://a'), isPlain(' WS://a'), isPlain('https://a'), isPlain('a')]).toEqual([
      true,
      true,
      false,
      false,
    ]);
    const read = readJoinForm({ ...FIRST_JOIN, url: 'https://a', secret: SECRET, insecure: true });
    expect(read.ok && read.value.insecure).toBe(false);
  });

  it('do not lead another server to itself', () => {
    expect(joinUrls(['https://localhost:8081', 'https://box.local:8081'])).toEqual([
      'https://box.local:8081',
    ]);
    expect(joinUrls(['https://localhost:8081'])).toEqual(['https://localhost:8081']);
    expect(roomPatterns(' , ')).toEqual([]);
  });

  it('tell a server that is late from one that has been there', () => {
    expect(allowedText({ ...server, expiresAt: 5 }, 10).text).toBe('Has not joined in time');
    expect(allowedText({ ...server, expiresAt: 5, joined: true }, 10).text).toBe('Not connected');
    expect(allowedText({ ...server, expiresAt: 70 }, 10).text).toBe('Has to join within 1 min');
  });
});

describe('ServersTab', () => {
  const calls: { call: string; body: unknown }[] = [];
  let shown: TrunkOverview = overview;
  let answer: unknown = null;
  let nearby: Nearby = { listening: false, servers: [] };

  beforeEach(() => {
    calls.length = 0;
    shown = overview;
    nearby = { listening: false, servers: [] };
    vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
      const call = `${init.method} ${url}`;
      if (call === 'GET /api/admin/topology') {
        return new Response(JSON.stringify({ me: 'ND_me', nodes: [], links: [] }), { status: 200 });
      }
      if (call === 'GET /api/admin/trunks/nearby') {
        return new Response(JSON.stringify(nearby), { status: 200 });
      }
      if (call !== 'GET /api/admin/trunks') {
        calls.push({ call, body: init.body === undefined ? null : JSON.parse(String(init.body)) });
        return answer === null
          ? new Response(null, { status: 204 })
          : new Response(JSON.stringify(answer), { status: 200 });
      }
      return new Response(JSON.stringify(shown), { status: 200 });
    });
    HTMLDialogElement.prototype.showModal = function showModal() {
      this.open = true;
    };
    HTMLDialogElement.prototype.close = function close() {
      this.open = false;
    };
  });

  afterEach(() => {
    answer = null;
    vi.unstubAllGlobals();
  });

  it('shows how each server stands, and why', async () => {
    shown = {
      ...overview,
      entries: [
        entry,
        {
          ...entry,
          key: 'k3',
          url: 'https://b',
          state: 'reconnecting',
          why: 'no route',
          retryInS: 17,
          neighbour: null,
          configured: true,
        },
      ],
      allowed: [server],
    };
    render(<ServersTab />);
    const list = await screen.findByRole('region', { name: 'Joined servers' });
    expect(within(list).getByText('Connected')).toBeVisible();
    expect(within(list).getByText(/0\.1\.0 · 23 ms/)).toBeVisible();
    expect(within(list).getByText(/again in 17 s/)).toBeVisible();
    expect(within(list).getByText('no route')).toBeVisible();
    expect(screen.queryByRole('button', { name: 'Remove https://b' })).toBeNull();
    expect(screen.getByText(/its moderators have no say here/)).toBeVisible();
    expect(screen.getByText('AA:BB')).toBeVisible();
  });

  it('asks before a server is removed', async () => {
    shown = { ...overview, entries: [entry] };
    render(<ServersTab />);
    await userEvent.click(await screen.findByRole('button', { name: /^Remove https/ }));
    expect(calls).toEqual([]);
    await userEvent.click(screen.getByRole('button', { name: 'Remove' }));
    expect(calls).toEqual([{ call: 'DELETE /api/admin/trunks/k1', body: null }]);
  });

  it('confirms the very fingerprint that is shown', async () => {
    shown = {
      ...overview,
      entries: [{ ...entry, state: 'confirm', fingerprint: 'CC:DD', neighbour: null }],
    };
    render(<ServersTab />);
    expect(await screen.findByText('CC:DD')).toBeVisible();
    await userEvent.click(screen.getByRole('button', { name: /trust it/ }));
    expect(calls).toEqual([
      { call: 'POST /api/admin/trunks/k1/confirm', body: { fingerprint: 'CC:DD' } },
    ]);
  });

  it('shows a join secret once, with what to do with it', async () => {
    answer = { server, secret: SECRET, urls: ['https://localhost', 'https://box.local'] };
    render(<ServersTab />);
    await userEvent.click(await screen.findByRole('button', { name: 'Allow a server to join' }));
    await userEvent.type(screen.getByLabelText('Its name'), 'Hut');
    await userEvent.click(screen.getByRole('button', { name: 'Make join secret' }));
    expect(await screen.findByLabelText('Join secret', { selector: '[readonly]' })).toHaveValue(
      SECRET,
    );
    expect(screen.getByLabelText('Address')).toHaveValue('https://box.local');
    await userEvent.click(screen.getByRole('button', { name: 'Done' }));
    expect(screen.queryByDisplayValue(SECRET)).toBeNull();
  });

  it('offers to leave out encryption only where there is none', async () => {
    answer = entry;
    render(<ServersTab />);
    const address = await screen.findByLabelText('Its address');
    await userEvent.type(address, 'https://a');
    expect(screen.queryByRole('checkbox', { name: /Without encryption/ })).toBeNull();
    await userEvent.clear(address);
    await userEvent.type(address, 'http://a');
    await userEvent.click(screen.getByRole('checkbox', { name: /Without encryption/ }));
    await userEvent.type(screen.getByLabelText('Join secret'), SECRET);
    await userEvent.click(screen.getByRole('button', { name: 'Join' }));
    expect(calls).toEqual([
      {
        call: 'POST /api/admin/trunks',
        body: { url: 'http://a', secret: SECRET, rooms: [], moderate: true, insecure: true },
      },
    ]);
    expect(address).toHaveValue('');
  });

  it('fills in the address of a server of this network, and never a secret', async () => {
    const box = {
      node: 'ND_1',
      name: '<b>Barn</b>',
      url: 'https://barn.local:8081',
      linked: false,
    };
    nearby = {
      listening: true,
      servers: [box, { ...box, node: 'ND_2', name: 'Boat', linked: true }],
    };
    render(<ServersTab />);
    const section = await screen.findByRole('region', { name: 'On this network' });
    expect(within(section).getByText('Linked')).toBeDefined();
    expect(within(section).queryByRole('button', { name: 'Join Boat' })).toBeNull();
    await userEvent.type(screen.getByLabelText('Join secret'), 'for-another-server');
    await userEvent.click(within(section).getByRole('button', { name: 'Join <b>Barn</b>' }));
    const address = screen.getByLabelText('Its address') as HTMLInputElement;
    const secret = screen.getByLabelText('Join secret') as HTMLInputElement;
    expect([address.value, secret.value]).toEqual(['https://barn.local:8081', '']);
    expect(document.activeElement).toBe(secret);
    expect(calls).toEqual([]);
  });

  it('says nothing of a network that is not listened to', async () => {
    render(<ServersTab />);
    await screen.findByText('This server');
    expect(screen.queryByText('On this network')).toBeNull();
  });
});
