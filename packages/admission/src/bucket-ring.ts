/**
 * Rolling sums in bounded space. A window is cut into 100 buckets of equal width; a ring holds the amount of each bucket of the
 * window and of the one that is leaving it, 101 at most, however much was counted. Bucket `n` covers `[n * bucketMs, (n + 1) *
 * bucketMs)`, in milliseconds since the epoch. A bucket counts in full until all of it is outside the window, so that a sum is
 * never too low, and at most that of a window one bucket longer. A ring is a value: every function returns a new one.
 */

/** Amounts counted within a rolling window. */
export interface Ring {
  /** Width of a bucket: a hundredth of the window, or `FOR_EVER_MS` if the window never ends. */
  readonly bucketMs: number;
  /** Number of the newest bucket. */
  readonly newest: number;
  /** Amount of each bucket, from the newest back; >= 0. */
  readonly amounts: readonly bigint[];
}

/** Length of a window in buckets. */
export const WINDOW_BUCKETS = 100;

/** Value of `bucketMs` for a window that never ends and has one bucket. */
export const FOR_EVER_MS = 0;

export function emptyRing(bucketMs: number): Ring {
  return { bucketMs, newest: 0, amounts: [] };
}

/**
 * Sum of the window that ends at `nowMs`: never less than the exact rolling sum, never more than that of a window one bucket
 * longer. Amounts dated after now, which a clock that was set back leaves, count as well.
 */
export function ringSum(ring: Ring, nowMs: number): bigint {
  return amountsInWindow(ring, nowMs).reduce((sum, amount) => sum + amount, 0n);
}

/**
 * Adds an amount at `atMs`. A moment that has left the window changes nothing.
 *
 * @throws RangeError for a negative amount: it would turn a charge into a credit
 */
export function addToRing(ring: Ring, amount: bigint, atMs: number, nowMs: number): Ring {
  if (amount < 0n) throw new RangeError("an amount to add must not be negative");
  const bucket = bucketOf(ring.bucketMs, atMs);
  if (amount === 0n || bucket < oldestCounted(ring.bucketMs, nowMs)) return ring;
  const opened =
    ring.amounts.length === 0
      ? { ...ring, newest: bucket }
      : openedUpTo(ring, bucket, oldestCounted(ring.bucketMs, nowMs));
  // A clock that was set back by more than a window makes the amount count longer than it needs to.
  const index = Math.min(opened.newest - bucket, WINDOW_BUCKETS);
  const amounts = [...opened.amounts];
  while (amounts.length <= index) amounts.push(0n);
  amounts[index] = (amounts[index] ?? 0n) + amount;
  return { ...opened, amounts };
}

/**
 * Subtracts an amount that was added at `atMs`. No bucket falls below 0: amounts that `resizeRing` has moved to a later bucket
 * stay counted until they leave the window.
 *
 * @throws RangeError for a negative amount
 */
export function subtractFromRing(ring: Ring, amount: bigint, atMs: number): Ring {
  if (amount < 0n) throw new RangeError("an amount to subtract must not be negative");
  const index = ring.newest - bucketOf(ring.bucketMs, atMs);
  const counted = ring.amounts[index];
  if (counted === undefined) return ring;
  return { ...ring, amounts: ring.amounts.with(index, counted > amount ? counted - amount : 0n) };
}

/**
 * First millisecond from which the sum is at most `atMost` if nothing is added; `nowMs` if it is already, undefined if it never
 * will be.
 */
export function ringFreesAt(ring: Ring, atMost: bigint, nowMs: number): number | undefined {
  const amounts = amountsInWindow(ring, nowMs);
  let sum = amounts.reduce((total, amount) => total + amount, 0n);
  if (sum <= atMost) return nowMs;
  if (atMost < 0n || ring.bucketMs === FOR_EVER_MS) return undefined;
  let oldest = amounts.length;
  while (sum > atMost && oldest > 0) sum -= amounts[--oldest] ?? 0n;
  return (ring.newest - oldest + 1 + WINDOW_BUCKETS) * ring.bucketMs;
}

/**
 * Ring of the same amounts in buckets of another width, for a window of another length. Each old bucket counts as if all of it
 * had been added at its end, because the moment within it is not known: so by up to one old bucket too long, never too short.
 * Amounts that a shorter window has dropped are lost.
 */
export function resizeRing(ring: Ring, bucketMs: number, nowMs: number): Ring {
  if (ring.bucketMs === bucketMs) return ring;
  return ring.amounts.reduceRight<Ring>((resized, amount, index) => {
    return addToRing(resized, amount, lastMoment(ring, ring.newest - index, nowMs), nowMs);
  }, emptyRing(bucketMs));
}

/** Latest moment at which an amount of this bucket can have been added. */
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

/** Amounts that count at `nowMs`, newest first. */
function amountsInWindow({ bucketMs, newest, amounts }: Ring, nowMs: number): readonly bigint[] {
  return amounts.slice(0, Math.max(0, newest - oldestCounted(bucketMs, nowMs) + 1));
}

/**
 * Ring whose newest bucket is at least this one; the oldest buckets drop out. If it is ahead of now, those of them that still count move to
 * the last bucket that is kept: they count longer, never shorter.
 *
 * @param oldest the oldest bucket that counts now
 */
function openedUpTo(ring: Ring, bucket: number, oldest: number): Ring {
  const ahead = bucket - ring.newest;
  if (ahead <= 0) return ring;
  const between = Array.from({ length: Math.min(ahead, WINDOW_BUCKETS + 1) }, () => 0n);
  const amounts = [...between, ...ring.amounts].slice(0, WINDOW_BUCKETS + 1);
  const dropped = ring.amounts.filter((_, index) => index + ahead > WINDOW_BUCKETS && ring.newest - index >= oldest);
  const moved = dropped.reduce((sum, amount) => sum + amount, 0n);
  if (moved > 0n) amounts[WINDOW_BUCKETS] = (amounts[WINDOW_BUCKETS] ?? 0n) + moved;
  return { ...ring, newest: bucket, amounts };
}

/** Ring as an array of integers >= 0, to be stored: the width, the number of the newest bucket, then the amounts. */
export function toRingNumbers({ bucketMs, newest, amounts }: Ring): readonly bigint[] {
  const last = amounts.findLastIndex((amount) => amount > 0n);
  return [BigInt(bucketMs), BigInt(newest), ...amounts.slice(0, last + 1)];
}

/** @throws Error if the numbers are not those of a ring: a request that needs the ring must be refused */
export function fromRingNumbers(numbers: readonly bigint[]): Ring {
  const [bucketMs, newest, ...amounts] = numbers;
  const readable = amounts.length <= WINDOW_BUCKETS + 1 && numbers.every((number) => number >= 0n);
  if (bucketMs === undefined || newest === undefined || !readable) throw new Error("a window cannot be read");
  return { bucketMs: Number(bucketMs), newest: Number(newest), amounts };
}
