import { Room, type RoomOptions, VideoPresets } from 'livekit-client';
import type { Choices } from '../lobby/choices.ts';
import { releaseHeldEvents } from './heldEvents.ts';
import { noteUnplayable } from './unplayable.ts';

/** A room object set up for this page; not connected yet. */
export function createRoom(choices: Choices): Room {
  const options: RoomOptions = {
    // Tiles ask for the size that they are shown at, hidden ones for nothing.
    adaptiveStream: { pixelDensity: 'screen' },
    // Layers that nobody watches are not sent.
    dynacast: true,
    // One connection both ways: the join needs one exchange less.
    singlePeerConnection: true,
    videoCaptureDefaults: {
      resolution: VideoPresets.h720.resolution,
      ...deviceWish(choices.cameraId),
    },
    audioCaptureDefaults: {
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
      ...deviceWish(choices.microphoneId),
    },
    publishDefaults: { simulcast: true, videoCodec: 'vp8', red: true, dtx: true },
    disconnectOnPageLeave: true,
  };
  if (choices.speakerId !== '') options.audioOutput = { deviceId: choices.speakerId };
  const room = new Room(options);
  releaseHeldEvents(room);
  noteUnplayable(room);
  return room;
}

/** A remembered device may be gone by now: a wish, not a condition. */
function deviceWish(deviceId: string): { deviceId?: ConstrainDOMString } {
  return deviceId === '' ? {} : { deviceId: { ideal: deviceId } };
}
