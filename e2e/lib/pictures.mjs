// What pictures say: how they follow each other as a client has counted them (`watch`), and what they
// show of a test pattern.

import assert from 'node:assert/strict';

/** The longest time without another picture, in milliseconds; one that lasts to the end counts. */
export function longestStall(pictures) {
  return worstStall(pictures).longest;
}

/** The same, and how many milliseconds after the first look it began. */
export function worstStall(pictures) {
  let worst = { longest: 0, after: 0 };
  let [moved, count] = pictures[0] ?? [0, 0];
  for (const [time, now] of pictures) {
    if (time - moved > worst.longest) worst = { longest: time - moved, after: moved - pictures[0][0] };
    if (now !== count) [moved, count] = [time, now];
  }
  return worst;
}

/** The middles of the seven bars of SMPTE's test pattern (`smpte75`), as fractions of width and height. */
export const BARS = Array.from({ length: 7 }, (_, index) => [(index + 0.5) / 7, 0.3]);

const COLOURS = [
  [180, 180, 180], [180, 180, 16], [16, 180, 180], [16, 180, 16], [180, 16, 180], [180, 16, 16], [16, 16, 180],
];

/** How far a colour may be off that was encoded, decoded and converted. */
const TOLERANCE = 40;

/** Fails if these are not the colours of the bars. */
export function showsBars(seen) {
  for (const [index, colour] of COLOURS.entries()) {
    const off = colour.some((value, channel) => Math.abs(value - seen[index][channel]) > TOLERANCE);
    assert.ok(!off, `bar ${index} is ${seen[index]} instead of ${colour}`);
  }
}
