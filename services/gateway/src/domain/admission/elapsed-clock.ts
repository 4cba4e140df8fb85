/** Difference between the two clocks that shows that the machine was suspended, or its time was set. */
const DRIFT_MS = 100;

/**
 * Creates a clock of elapsed milliseconds that includes the time during which the machine was suspended: the larger of the elapsed
 * monotonic and wall clock time. `performance.now` stands still in a suspended machine, and `Date.now` can be set back. Setting the time
 * forward advances this clock too: what has an expiry ends too early, never too late.
 */
export function createElapsedClock(monotonic = () => performance.now(), wall: () => number = Date.now): () => number {
  let monotonicBase = monotonic();
  let wallBase = wall();
  let skippedMs = 0;
  return () => {
    const now = monotonic();
    const driftMs = wall() - wallBase - (now - monotonicBase);
    if (driftMs > DRIFT_MS) skippedMs += driftMs;
    if (Math.abs(driftMs) > DRIFT_MS) [monotonicBase, wallBase] = [now, wall()];
    return now + skippedMs;
  };
}
