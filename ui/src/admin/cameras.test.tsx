import { render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CameraEntry } from '../api/cameraTypes.ts';
import { CamerasTab } from './CamerasTab.tsx';
import {
  FIRST_CAMERA,
  formOf,
  pinsOf,
  readCameraForm,
  readStream,
  splitAddress,
} from './cameraForms.ts';

const entry: CameraEntry = {
  id: 'CA_1',
  name: 'Gate',
  room: 'Yard',
  main: { address: 'rtsp://cam/1', user: 'admin', hasPassword: true },
  sub: { address: 'rtsp://cam/2', user: null, hasPassword: false },
  transport: 'tcp',
  audio: true,
  alwaysOn: false,
  pins: [],
  configured: false,
  state: 'live',
  why: null,
  retryInS: null,
  fingerprint: null,
  video: { codec: 'H264', profile: 'High', width: 1920, height: 1080 },
  sound: { codec: 'opus', source: 'AAC, 16000 Hz, mono' },
  notes: [],
  watched: true,
  bitrate: 2_400_000,
  cachedBytes: 0,
};

const typed = { ...FIRST_CAMERA, address: 'rtsp://cam/1', name: 'Gate', room: 'Yard' };

describe('forms about cameras', () => {
  it('take the password out of an address', () => {
    expect(splitAddress('rtsp://a:p@ss%2F@10.0.0.9:554/x@y?z=@')).toEqual({
      address: 'rtsp://10.0.0.9:554/x@y?z=@',
      user: 'a',
      password: 'p@ss/',
    });
    const none = splitAddress('rtsp://10.0.0.9/x@y');
    expect(none).toEqual({ address: 'rtsp://10.0.0.9/x@y', user: null, password: null });
    expect(splitAddress('rtsp://a@cam').password).toBeNull();
    expect(splitAddress('rtsp://a:100%@cam').password).toBe('100%');
  });

  it('do not send a password that was not entered', () => {
    const read = readStream(formOf(entry), entry);
    expect(read.ok && read.value).toEqual({
      address: 'rtsp://cam/1',
      user: 'admin',
      password: null,
    });
    const nobody = readStream({ ...formOf(entry), user: '' }, entry);
    expect(nobody.ok && nobody.value.user).toBe('');
    const first = readStream(typed, null);
    expect(first.ok && first.value.user).toBeNull();
  });

  it('keep what was set when nothing is changed', () => {
    const read = readCameraForm(formOf(entry), entry);
    expect(read.ok && read.value).toEqual({
      name: 'Gate',
      room: 'Yard',
      main: { address: 'rtsp://cam/1', user: 'admin', password: null },
      sub: { address: 'rtsp://cam/2', user: null, password: null },
      transport: 'tcp',
      audio: true,
      alwaysOn: false,
      pins: [],
    });
  });

  it('refuse what cannot work before it is sent', () => {
    expect(readCameraForm({ ...typed, address: '' }, null).ok).toBe(false);
    expect(readCameraForm({ ...typed, address: 'http://cam/1' }, null).ok).toBe(false);
    expect(readCameraForm({ ...typed, name: ' ' }, null).ok).toBe(false);
    expect(readCameraForm({ ...typed, name: 'x'.repeat(65) }, null).ok).toBe(false);
    expect(readCameraForm({ ...typed, room: '' }, null).ok).toBe(false);
    expect(pinsOf(' AA:BB,\nCC ')).toEqual(['AA:BB', 'CC']);
  });
});

describe('CamerasTab', () => {
  const calls: { call: string; body: unknown }[] = [];
  let shown: CameraEntry[] = [];
  let answer: unknown = null;

  beforeEach(() => {
    calls.length = 0;
    shown = [];
    vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
      const call = `${init.method} ${url}`;
      if (call === 'GET /api/admin/rooms') return new Response('[]', { status: 200 });
      if (call === 'GET /api/admin/cameras') {
        return new Response(JSON.stringify(shown), { status: 200 });
      }
      calls.push({ call, body: init.body === undefined ? null : JSON.parse(String(init.body)) });
      return answer === null
        ? new Response(null, { status: 204 })
        : new Response(JSON.stringify(answer), { status: 200 });
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

  it('shows how each camera stands, and why', async () => {
    const why = 'the camera cannot be reached';
    shown = [
      entry,
      { ...entry, id: 'CA_2', name: 'Barn', state: 'reconnecting', why, retryInS: 17, video: null },
      { ...entry, id: 'CA_3', name: 'Hut', state: 'idle', video: null, configured: true },
      { ...entry, id: 'CA_4', name: 'Cellar', notes: ['there is no sound'] },
    ];
    render(<CamerasTab />);
    const list = await screen.findByRole('region', { name: 'Cameras' });
    expect(within(list).getAllByText('Live')).toHaveLength(2);
    expect(within(list).getAllByText(/1920 × 1080 · H264 High · sound AAC/)).toHaveLength(2);
    expect(within(list).getByText(/again in 17 s/)).toBeVisible();
    expect(within(list).getByText('The camera cannot be reached.')).toBeVisible();
    expect(within(list).getByText('Idle: nobody watches')).toBeVisible();
    expect(within(list).getByText('There is no sound.')).toBeVisible();
    expect(screen.queryByRole('button', { name: 'Remove Hut' })).toBeNull();
  });

  it('adds a camera without showing its password', async () => {
    answer = entry;
    render(<CamerasTab />);
    const address = await screen.findByLabelText('Address');
    await userEvent.click(address);
    await userEvent.paste('rtsp://admin:hunter2@cam/1');
    await userEvent.type(screen.getByLabelText('Name'), 'Gate');
    expect(address).toHaveValue('rtsp://cam/1');
    expect(screen.getByLabelText('Password')).toHaveAttribute('type', 'password');
    await userEvent.type(screen.getByLabelText('Room'), 'Yard');
    await userEvent.click(screen.getByRole('button', { name: 'Add camera' }));
    expect(calls).toEqual([
      {
        call: 'POST /api/admin/cameras',
        body: {
          name: 'Gate',
          room: 'Yard',
          main: { address: 'rtsp://cam/1', user: 'admin', password: 'hunter2' },
          sub: null,
          transport: 'tcp',
          audio: true,
          alwaysOn: false,
          pins: [],
        },
      },
    ]);
    expect(screen.getByLabelText('Password')).toHaveValue('');
  });

  it('says what a test has found, and what it has not', async () => {
    answer = {
      found: {
        video: entry.video,
        sound: null,
        notes: ['the camera may send B-frames'],
        firstPictureMs: 400,
        frameRate: 25.02,
        keyFrameIntervalMs: 2000,
        bitrate: 2_400_000,
        still: { codec: 'avc1.4D0029', annexB: 'AAAAAQ==' },
      },
      why: null,
      fingerprint: null,
    };
    render(<CamerasTab />);
    await userEvent.click(await screen.findByLabelText('Address'));
    await userEvent.paste('rtsp://cam/1');
    await userEvent.click(screen.getByRole('button', { name: 'Test' }));
    const result = await screen.findByRole('region', { name: 'Result of the test' });
    expect(within(result).getByText('1920 × 1080 · H264 High')).toBeVisible();
    expect(within(result).getByText('25.0 per s')).toBeVisible();
    expect(within(result).getByText('every 2.0 s')).toBeVisible();
    expect(within(result).getByText('The camera may send B-frames.')).toBeVisible();
    answer = { found: null, why: 'no answer', fingerprint: 'AA:BB' };
    await userEvent.click(screen.getByRole('button', { name: 'Test' }));
    expect(await screen.findByText('No picture. No answer.')).toBeVisible();
    await userEvent.click(screen.getByRole('button', { name: /trust it/ }));
    await userEvent.click(screen.getByRole('button', { name: 'Test' }));
    expect(calls.at(-1)?.body).toMatchObject({ id: null, pins: ['AA:BB'] });
  });

  it('asks before a camera is removed', async () => {
    shown = [entry];
    render(<CamerasTab />);
    await userEvent.click(await screen.findByRole('button', { name: 'Remove Gate' }));
    expect(calls).toEqual([]);
    await userEvent.click(screen.getByRole('button', { name: 'Remove' }));
    expect(calls).toEqual([{ call: 'DELETE /api/admin/cameras/CA_1', body: null }]);
  });

  it('changes a camera and keeps its password', async () => {
    shown = [entry];
    answer = entry;
    render(<CamerasTab />);
    await userEvent.click(await screen.findByRole('button', { name: 'Change Gate' }));
    const dialog = screen.getByRole('dialog', { name: 'Change Gate' });
    const name = within(dialog).getByLabelText('Name');
    await userEvent.clear(name);
    await userEvent.type(name, 'Door');
    await userEvent.click(within(dialog).getByRole('button', { name: 'Save' }));
    expect(calls[0]?.call).toBe('POST /api/admin/cameras/CA_1');
    expect(calls[0]?.body).toMatchObject({
      name: 'Door',
      main: { address: 'rtsp://cam/1', user: 'admin', password: null },
    });
  });

  it('says what an import has left out', async () => {
    answer = { added: ['porch'], skipped: [{ name: 'usb', why: 'ffmpeg:' }] };
    render(<CamerasTab />);
    await userEvent.click(await screen.findByRole('button', { name: 'Import from go2rtc' }));
    const dialog = screen.getByRole('dialog', { name: 'Import from go2rtc' });
    await userEvent.click(within(dialog).getByLabelText('The text of go2rtc.yaml'));
    await userEvent.paste('streams:\n  porch: rtsp://cam/1\n');
    await userEvent.type(within(dialog).getByLabelText('Room'), 'Yard');
    await userEvent.click(within(dialog).getByRole('button', { name: 'Import' }));
    expect(await within(dialog).findByText('Added: porch.')).toBeVisible();
    expect(within(dialog).getByText('Left out: ffmpeg:')).toBeVisible();
    expect(calls[0]?.body).toEqual({ room: 'Yard', text: 'streams:\n  porch: rtsp://cam/1\n' });
  });
});
