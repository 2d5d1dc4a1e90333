import { act, renderHook, waitFor } from '@testing-library/react';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { loadChoices } from './choices.ts';
import { usePreview } from './usePreview.ts';

type Wish = MediaStreamConstraints;

function track(kind: 'video' | 'audio'): MediaStreamTrack {
  const target = new EventTarget();
  return Object.assign(target, {
    kind,
    stop: vi.fn(),
    getSettings: () => ({}),
  }) as unknown as MediaStreamTrack;
}

/** A browser whose devices behave as `open` says. */
function browser(open: (wish: Wish) => MediaStreamTrack[]) {
  vi.stubGlobal('isSecureContext', true);
  const getUserMedia = vi.fn(async (wish: Wish) => {
    const tracks = open(wish);
    return { getTracks: () => tracks } as unknown as MediaStream;
  });
  vi.stubGlobal('navigator', { ...navigator, mediaDevices: { getUserMedia } });
  return getUserMedia;
}

function fail(name: string): never {
  throw new DOMException('', name);
}

afterEach(() => vi.unstubAllGlobals());

const choices = loadChoices();

describe('usePreview', () => {
  it('asks for camera and microphone with one prompt', async () => {
    const ask = browser(() => [track('video'), track('audio')]);
    const { result } = renderHook(() => usePreview(true, choices));
    await waitFor(() => expect(result.current.camera.kind).toBe('live'));
    expect(result.current.microphone.kind).toBe('live');
    expect(ask).toHaveBeenCalledTimes(1);
  });

  it('still has the microphone when there is no camera', async () => {
    browser((wish) => (wish.video === undefined ? [track('audio')] : fail('NotFoundError')));
    const { result } = renderHook(() => usePreview(true, choices));
    await waitFor(() => expect(result.current.microphone.kind).toBe('live'));
    expect(result.current.camera).toEqual({ kind: 'failed', problem: 'absent' });
  });

  it('tells which device another program has taken', async () => {
    browser((wish) => (wish.video === undefined ? [track('audio')] : fail('NotReadableError')));
    const { result } = renderHook(() => usePreview(true, choices));
    await waitFor(() => expect(result.current.microphone.kind).toBe('live'));
    expect(result.current.camera).toEqual({ kind: 'failed', problem: 'busy' });
  });

  it('does not ask a second time after a refusal', async () => {
    const ask = browser(() => fail('NotAllowedError'));
    const { result } = renderHook(() => usePreview(true, choices));
    await waitFor(() =>
      expect(result.current.camera).toEqual({ kind: 'failed', problem: 'refused' }),
    );
    expect(result.current.microphone).toEqual({ kind: 'failed', problem: 'refused' });
    expect(ask).toHaveBeenCalledTimes(1);
  });

  it('asks for nothing when the invite is for watching only', () => {
    const ask = browser(() => []);
    renderHook(() => usePreview(false, choices));
    expect(ask).not.toHaveBeenCalled();
  });

  it('says that a page without https gets no devices', async () => {
    const ask = browser(() => []);
    vi.stubGlobal('isSecureContext', false);
    const { result } = renderHook(() => usePreview(true, choices));
    await waitFor(() =>
      expect(result.current.camera).toEqual({ kind: 'failed', problem: 'insecure' }),
    );
    expect(ask).not.toHaveBeenCalled();
  });

  it('leaves the camera’s light off after the lobby is closed', async () => {
    const camera = track('video');
    browser(() => [camera, track('audio')]);
    const { result, unmount } = renderHook(() => usePreview(true, choices));
    await waitFor(() => expect(result.current.camera.kind).toBe('live'));
    unmount();
    expect(camera.stop).toHaveBeenCalled();
  });

  it('does not stop what it has handed over to the call', async () => {
    const camera = track('video');
    browser(() => [camera, track('audio')]);
    const { result, unmount } = renderHook(() => usePreview(true, choices));
    await waitFor(() => expect(result.current.camera.kind).toBe('live'));
    expect(result.current.release().camera).toBe(camera);
    unmount();
    expect(camera.stop).not.toHaveBeenCalled();
  });

  it('joins without the camera of somebody who is quicker than it', async () => {
    let give: (stream: MediaStream) => void = () => undefined;
    const ask = browser(() => []);
    ask.mockImplementation(() => new Promise((resolve) => (give = resolve)));
    const { result } = renderHook(() => usePreview(true, choices));
    await waitFor(() => expect(result.current.camera.kind).toBe('asking'));
    const camera = track('video');
    const joined = result.current.settled().then(() => result.current.release());
    await act(async () =>
      give({ getTracks: () => [camera, track('audio')] } as unknown as MediaStream),
    );
    expect((await joined).camera).toBe(camera);
  });

  it('waits for ever for a permission that nobody gives', async () => {
    vi.useFakeTimers();
    const ask = browser(() => []);
    ask.mockImplementation(() => new Promise(() => undefined));
    const { result } = renderHook(() => usePreview(true, choices));
    const joined = result.current.settled().then(() => result.current.release());
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await joined).toEqual({ camera: null, microphone: null });
    vi.useRealTimers();
  });

  it('stops a camera that comes after it was switched off', async () => {
    const late = track('video');
    let give: (stream: MediaStream) => void = () => undefined;
    const ask = browser(() => []);
    ask.mockImplementation(() => new Promise((resolve) => (give = resolve)));
    const { result } = renderHook(() => usePreview(true, { ...choices, microphone: false }));
    await waitFor(() => expect(result.current.camera.kind).toBe('asking'));
    act(() => result.current.stop('camera'));
    await act(async () => give({ getTracks: () => [late] } as unknown as MediaStream));
    expect(late.stop).toHaveBeenCalled();
    expect(result.current.camera.kind).toBe('off');
  });

  it('says so when the camera is unplugged', async () => {
    const camera = track('video');
    browser(() => [camera, track('audio')]);
    const { result } = renderHook(() => usePreview(true, choices));
    await waitFor(() => expect(result.current.camera.kind).toBe('live'));
    act(() => {
      camera.dispatchEvent(new Event('ended'));
    });
    expect(result.current.camera).toEqual({ kind: 'failed', problem: 'absent' });
  });
});
