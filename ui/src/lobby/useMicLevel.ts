import { useEffect, useState } from 'react';

/** How often the meter moves. */
const INTERVAL_MS = 100;

/** How loud a microphone is, 0 to 100, on a scale that fits speech. */
export function useMicLevel(track: MediaStreamTrack | null): number {
  const [level, setLevel] = useState(0);

  useEffect(() => {
    setLevel(0);
    if (track === null || typeof AudioContext === 'undefined') return;
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024;
    context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    // Browsers keep the context asleep until the page is touched for the first time.
    const wake = () => void context.resume().catch(() => undefined);
    wake();
    document.addEventListener('pointerdown', wake);
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      setLevel(levelOf(samples));
    }, INTERVAL_MS);
    return () => {
      clearInterval(timer);
      document.removeEventListener('pointerdown', wake);
      void context.close().catch(() => undefined);
    };
  }, [track]);

  return level;
}

/** −60 dBFS and below is 0, −10 dBFS and above is 100. */
export function levelOf(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  if (sum === 0) return 0;
  const decibel = 10 * Math.log10(sum / samples.length);
  return Math.round(Math.min(1, Math.max(0, (decibel + 60) / 50)) * 100);
}
