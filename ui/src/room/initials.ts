/** One or two letters that stand for a name. */
export function initials(name: string): string {
  const words = name
    .trim()
    .split(/\s+/)
    .filter((word) => word !== '');
  const first = words[0];
  if (first === undefined) return '?';
  const last = words.length > 1 ? words[words.length - 1] : undefined;
  return (letter(first) + (last === undefined ? '' : letter(last))).toLocaleUpperCase();
}

/** A hue between 0 and 359 that stays the same for the same person. */
export function hueOf(identity: string): number {
  let hash = 0;
  for (const char of identity) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 360;
  // Similar names shall not get similar colours: 137° is the angle that spreads best.
  return (hash * 137) % 360;
}

function letter(word: string): string {
  return [...word][0] ?? '';
}
