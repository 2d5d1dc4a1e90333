// Waiting for conditions. Bounds are generous: they end a test that hangs, they measure nothing.

/** How long a condition may take on a busy machine with two cores, in milliseconds. */
export const PATIENCE_MS = 45_000;

/** Resolves after `ms` milliseconds. */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Asks `probe` until it answers something truthy, and returns that.
 *
 * `what` completes "waited in vain until …"; the last answer or error is part of the message.
 */
export async function until(what, probe, { ms = PATIENCE_MS, every = 150 } = {}) {
  const end = Date.now() + ms;
  let last;
  for (;;) {
    try {
      last = await probe();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) {
      const shown = last instanceof Error ? last.message : JSON.stringify(last);
      throw new Error(`waited ${ms / 1000} s in vain until ${what}; last: ${shown}`);
    }
    await sleep(every);
  }
}
