import { setTimeout as delay } from "node:timers/promises";

/**
 * Passes on the values of a stream at intervals of at least `intervalMs`: a value that comes later than that after the previous one at once,
 * and of several that come earlier only the latest one, when the interval is over.
 */
export async function* latestOf<T>(values: AsyncIterable<T>, intervalMs: number): AsyncGenerator<T, void> {
  const iterator = values[Symbol.asyncIterator]();
  const read = () => {
    const result = iterator.next();
    // Awaited later: without a handler until then, an error would end the process.
    result.catch(() => {});
    return result;
  };
  let passedAt = -Infinity;
  try {
    for (let next = read(); ;) {
      const first = await next;
      if (first.done === true) return;
      let latest = first.value;
      next = read();
      const waitMs = passedAt + intervalMs - performance.now();
      if (waitMs > 0) {
        const isDue = delay(waitMs, undefined, { ref: false });
        for (;;) {
          const later = await Promise.race([isDue, next]);
          if (later === undefined || later.done === true) break;
          latest = later.value;
          next = read();
        }
      }
      yield latest;
      passedAt = performance.now();
    }
  } finally {
    // Not awaited: the stream may be waiting for its next value.
    iterator.return?.().catch(() => {});
  }
}
