/**
 * What was counted within a rolling window, in at most 101 buckets: a window's worth, and the one that is leaving it. A value:
 * every function returns another one. Milliseconds since the epoch throughout.
 */
export interface Ring {
  /** How wide a bucket is: a hundredth of the window; `FOR_EVER_MS` if the window never ends. */
  readonly bucketMs: number;
  /** Number of the newest bucket, which starts at that many times its width. */
  readonly newest: number;
  /** From the newest bucket back, one for each; >= 0. */
  readonly amounts: readonly bigint[];
}

/** How many buckets a window is long. */
export const WINDOW_BUCKETS = 100;

/** The width of the one bucket of a window that never ends. */
export const FOR_EVER_MS = 0;

export function emptyRing(bucketMs: number): Ring {
  return { bucketMs, newest: 0, amounts: [] };
}

/**
 * What counts at `nowMs`. A bucket counts whole until all of it is outside the window, so this is never less than the exact
 * rolling sum, and never more than that of a window one bucket longer. What was counted later than now (the clock was set
 * back) counts as well.
 */
export function ringSum(ring: Ring, nowMs: number): bigint {
  return counted(ring, nowMs).reduce((sum, amount) => sum + amount, 0n);
}

/**
 * Counts `amount` at a moment that has been. One that has left the window counts no more, so nothing happens.
 *
 * @throws RangeError for an amount < 0: it would turn a charge into a credit
 */
export function addToRing(ring: Ring, amount: bigint, atMs: number, nowMs: number): Ring {
  if (amount < 0n) throw new RangeError("only what was counted can be taken back");
  const bucket = bucketOf(ring.bucketMs, atMs);
  if (amount === 0n || bucket < oldestCounted(ring.bucketMs, nowMs)) return ring;
  const opened = ring.amounts.length === 0 ? { ...ring, newest: bucket } : openedUpTo(ring, bucket);
  // The clock was set back by more than a window: it counts longer than it needs to.
  const index = Math.min(opened.newest - bucket, WINDOW_BUCKETS);
  const amounts = [...opened.amounts];
  while (amounts.length <= index) amounts.push(0n);
  amounts[index] = (amounts[index] ?? 0n) + amount;
  return { ...opened, amounts };
}

/**
 * Counts `amount` no more, of what was counted at that moment. No bucket falls below 0: what `rewindRing` has moved to a
 * later one stays counted until it leaves.
 */
export function subtractFromRing(ring: Ring, amount: bigint, atMs: number): Ring {
  if (amount < 0n) throw new RangeError("what is taken back must not be negative");
  const index = ring.newest - bucketOf(ring.bucketMs, atMs);
  const held = ring.amounts[index];
  if (held === undefined) return ring;
  return { ...ring, amounts: ring.amounts.with(index, held > amount ? held - amount : 0n) };
}

/**
 * When no more than `atMost` counts, if nothing is added: from that millisecond on, and not before. `nowMs` if that is so
 * already; undefined if it will never be.
 */
export function ringFreesAt(ring: Ring, atMost: bigint, nowMs: number): number | undefined {
  const amounts = counted(ring, nowMs);
  let sum = amounts.reduce((total, amount) => total + amount, 0n);
  if (sum <= atMost) return nowMs;
  if (atMost < 0n || ring.bucketMs === FOR_EVER_MS) return undefined;
  let oldest = amounts.length;
  while (sum > atMost && oldest > 0) sum -= amounts[--oldest] ?? 0n;
  return (ring.newest - oldest + 1 + WINDOW_BUCKETS) * ring.bucketMs;
}

/**
 * The same in buckets of another width, for a window of another length. What counts may count longer than it needs to by up
 * to one old bucket, because it is not known when within its bucket it was counted; never shorter. What the shorter window
 * had dropped already is not known any more.
 */
export function resizeRing(ring: Ring, bucketMs: number, nowMs: number): Ring {
  if (ring.bucketMs === bucketMs) return ring;
  return ring.amounts.reduceRight<Ring>((rewound, amount, index) => {
    return addToRing(rewound, amount, lastMoment(ring, ring.newest - index, nowMs), nowMs);
  }, emptyRing(bucketMs));
}

/** The latest moment at which something in this bucket can have been counted. */
function lastMoment({ bucketMs }: Ring, bucket: number, nowMs: number): number {
  if (bucketMs === FOR_EVER_MS) return nowMs;
  return Math.max(bucket * bucketMs, Math.min((bucket + 1) * bucketMs - 1, nowMs));
}

function bucketOf(bucketMs: number, ms: number): number {
  return bucketMs === FOR_EVER_MS ? 0 : Math.floor(ms / bucketMs);
}

function oldestCounted(bucketMs: number, nowMs: number): number {
  return bucketOf(bucketMs, nowMs) - WINDOW_BUCKETS;
}

/** The amounts that count, newest first. */
function counted({ bucketMs, newest, amounts }: Ring, nowMs: number): readonly bigint[] {
  return amounts.slice(0, Math.max(0, newest - oldestCounted(bucketMs, nowMs) + 1));
}

/** With this bucket in it, if it is newer than all; the oldest ones drop out. */
function openedUpTo(ring: Ring, bucket: number): Ring {
  const ahead = bucket - ring.newest;
  if (ahead <= 0) return ring;
  const between = Array.from({ length: Math.min(ahead, WINDOW_BUCKETS + 1) }, () => 0n);
  return { ...ring, newest: bucket, amounts: [...between, ...ring.amounts].slice(0, WINDOW_BUCKETS + 1) };
}

/** As one array of whole numbers, none below 0: the width, the newest bucket's number, and the amounts. */
export function toRingNumbers({ bucketMs, newest, amounts }: Ring): readonly bigint[] {
  const last = amounts.findLastIndex((amount) => amount > 0n);
  return [BigInt(bucketMs), BigInt(newest), ...amounts.slice(0, last + 1)];
}

/** @throws Error if they are none of `toRingNumbers`: whoever needs what was counted must refuse */
export function fromRingNumbers(numbers: readonly bigint[]): Ring {
  const [bucketMs, newest, ...amounts] = numbers;
  const readable = amounts.length <= WINDOW_BUCKETS + 1 && numbers.every((each) => each >= 0n);
  if (bucketMs === undefined || newest === undefined || !readable) throw new Error("a window cannot be read");
  return { bucketMs: Number(bucketMs), newest: Number(newest), amounts };
}
