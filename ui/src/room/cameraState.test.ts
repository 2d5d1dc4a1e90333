import { describe, expect, it } from 'vitest';
import { cameraText, cameraTrouble } from './CameraState.tsx';

describe('state of a camera', () => {
  it('is not shown over a picture, nor over people', () => {
    expect(cameraTrouble({})).toBeNull();
    expect(cameraTrouble({ 'umbrella.camera.state': 'live' })).toBeNull();
    expect(cameraTrouble({ 'umbrella.camera.state': 'something new' })).toBeNull();
  });

  it('says when it is tried again, and not a time that is over', () => {
    const trouble = cameraTrouble({
      'umbrella.camera.state': 'reconnecting',
      'umbrella.camera.why': 'it is off',
      'umbrella.camera.retry': '100',
    });
    expect(trouble).toEqual({ state: 'reconnecting', why: 'it is off', retry: 100 });
    if (trouble === null) return;
    expect(cameraText(trouble, 82.5)).toBe('Reconnecting to the camera in 18 s');
    expect(cameraText(trouble, 101)).toBe('Reconnecting to the camera');
    const soon = cameraTrouble({ 'umbrella.camera.state': 'idle', 'umbrella.camera.retry': 'x' });
    expect(soon?.retry).toBeNull();
  });
});
