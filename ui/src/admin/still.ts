import type { CameraStill } from '../api/cameraTypes.ts';

/** Draws a key frame, where the browser has a decoder for it. Says whether it has. */
export async function drawStill(still: CameraStill, canvas: HTMLCanvasElement): Promise<boolean> {
  if (!('VideoDecoder' in globalThis)) return false;
  const config = { codec: still.codec, optimizeForLatency: true };
  const { supported } = await VideoDecoder.isConfigSupported(config);
  if (supported !== true) return false;
  let drawn = false;
  const decoder = new VideoDecoder({
    output: (frame) => {
      canvas.width = frame.displayWidth;
      canvas.height = frame.displayHeight;
      canvas.getContext('2d')?.drawImage(frame, 0, 0);
      frame.close();
      drawn = true;
    },
    // What cannot be decoded is not shown; flush tells as well.
    error: () => undefined,
  });
  try {
    decoder.configure(config);
    const data = Uint8Array.from(atob(still.annexB), (char) => char.charCodeAt(0));
    decoder.decode(new EncodedVideoChunk({ type: 'key', timestamp: 0, data }));
    await decoder.flush();
  } finally {
    if (decoder.state !== 'closed') decoder.close();
  }
  return drawn;
}
