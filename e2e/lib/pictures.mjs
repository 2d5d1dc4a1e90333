// What the pictures that a client has counted (`watch`) say.

/** The longest time without another picture, in milliseconds; one that lasts to the end counts. */
export function longestStall(pictures) {
  let [longest, [moved, count]] = [0, pictures[0] ?? [0, 0]];
  for (const [time, now] of pictures) {
    longest = Math.max(longest, time - moved);
    if (now !== count) [moved, count] = [time, now];
  }
  return longest;
}
