import { useEffect, useState } from 'react';

export type Tone = 'good' | 'wait' | 'bad';

export function StateTag({ text, tone }: { text: string; tone: Tone }) {
  return <span className={`state state-${tone}`}>{text}</span>;
}

/** Counts down by the second between two answers of the server. */
export function useCountdown(seconds: number | null): number | null {
  const [left, setLeft] = useState(seconds);
  useEffect(() => {
    setLeft(seconds);
    if (seconds === null) return;
    const end = Date.now() + seconds * 1000;
    const tick = () => setLeft(Math.max(0, Math.ceil((end - Date.now()) / 1000)));
    const timer = setInterval(tick, 500);
    return () => clearInterval(timer);
  }, [seconds]);
  return left;
}
