/** Bits per second for people. */
export function bitrateText(bitrate: number): string {
  if (bitrate >= 1_000_000) return `${(bitrate / 1_000_000).toFixed(1)} Mbit/s`;
  return `${Math.round(bitrate / 1000)} kbit/s`;
}

/** What is occupied, and of how much. */
export function memoryText(memory: {
  residentBytes: number | null;
  boundBytes: number | null;
}): string {
  const mib = (bytes: number) => `${Math.round(bytes / 1024 / 1024)} MB`;
  const resident = memory.residentBytes === null ? 'unknown' : mib(memory.residentBytes);
  return memory.boundBytes === null
    ? `${resident}, no bound`
    : `${resident} of ${mib(memory.boundBytes)}`;
}

/** A span of time in its two largest units. */
export function durationText(seconds: number): string {
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [Math.floor(seconds) % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first === -1) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(' ');
}

/** When something ends, seen from now. Seconds since the Unix epoch. */
export function expiryText(expiresAt: number | null, nowS: number): string {
  if (expiresAt === null) return 'never ends';
  const left = expiresAt - nowS;
  return left <= 0 ? 'has ended' : `ends in ${durationText(left)}`;
}

/** How often an invite can still be used. */
export function usesText(usesLeft: number | null, uses: number): string {
  const used = uses === 1 ? 'used once' : uses === 0 ? 'not used yet' : `used ${uses} times`;
  if (usesLeft === null) return used;
  return `${used}, ${usesLeft} left`;
}

export function peopleText(count: number): string {
  if (count === 0) return 'Empty';
  return count === 1 ? '1 person' : `${count} people`;
}

export function dateText(seconds: number): string {
  return new Date(seconds * 1000).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
}
