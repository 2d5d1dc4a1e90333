// What a browser shows and plays of a track, measured on what comes out of it.

/** The colours of a picture at `points`, pairs of fractions of its width and height: `[r, g, b]` each. */
export function colours(video, points) {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(video, 0, 0);
  return points.map(([x, y]) => [...context.getImageData(x * canvas.width, y * canvas.height, 1, 1).data.slice(0, 3)]);
}

/** A part of a worklet that says whenever something loud begins: when, by the clock on the wall. */
const EAR = `registerProcessor('ear', class extends AudioWorkletProcessor {
  quiet = 0;
  process([[samples]]) {
    for (const [at, sample] of (samples ?? []).entries()) {
      if (Math.abs(sample) < 0.1) {
        this.quiet += 1;
        continue;
      }
      if (this.quiet > sampleRate / 5) this.port.postMessage(Date.now() + at / sampleRate * 1000);
      this.quiet = 0;
    }
    return true;
  }
});`;

/**
 * When something loud begins in a sound track, for `seconds`. It is heard where the track is read:
 * what a sound card takes on top is the same for all tracks.
 */
async function ticks(track, seconds) {
  const context = new AudioContext({ latencyHint: 'interactive' });
  await context.resume();
  const module = URL.createObjectURL(new Blob([EAR], { type: 'text/javascript' }));
  await context.audioWorklet.addModule(module);
  const ear = new AudioWorkletNode(context, 'ear');
  const heard = [];
  ear.port.onmessage = ({ data }) => heard.push(data);
  const source = context.createMediaStreamSource(new MediaStream([track]));
  source.connect(ear).connect(new GainNode(context, { gain: 0 })).connect(context.destination);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  await context.close();
  return heard;
}

/** When a picture's corner turns from dark to bright or back, for `seconds`. */
async function flashes(video, seconds) {
  const canvas = new OffscreenCanvas(1, 1);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const [seen, end] = [[], performance.now() + seconds * 1000];
  let before;
  await new Promise((resolve) => {
    const look = (_now, { expectedDisplayTime }) => {
      context.drawImage(video, 0, 0, video.videoWidth / 16, video.videoHeight / 16, 0, 0, 1, 1);
      const bright = context.getImageData(0, 0, 1, 1).data[0] > 127;
      if (before !== undefined && bright !== before) seen.push(performance.timeOrigin + expectedDisplayTime);
      before = bright;
      if (performance.now() < end) video.requestVideoFrameCallback(look);
      else resolve();
    };
    video.requestVideoFrameCallback(look);
  });
  return seen;
}

/** When the ticks of a sound track are heard and the flashes of a picture are seen, in milliseconds of one clock. */
export async function beat(video, sound, seconds) {
  const [heard, seen] = await Promise.all([ticks(sound, seconds), flashes(video, seconds)]);
  return { heard, seen };
}
