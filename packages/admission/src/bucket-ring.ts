/**
 * Sums over a window in bounded space. A scale cuts time into buckets; a ring holds the amount of each bucket of the window and of the one that
 * is leaving it, 101 at most, however much was counted. A bucket counts in full until all of it is outside the window, so that a sum is
 * never too low, and at most that of a window one bucket longer; the buckets of a calendar window end with it, so that its sum is exact.
 * A ring is a value: every function returns a new one.
 */
import { isTimeZone } from "@routeplane/domain";
import {
  bucketAt,
  ENDLESS,
  haveSameBuckets,
  keptBuckets,
  leavesAt,
  oldestBucket,
  rollingScale,
  type Scale,
  startOfBucket,
} from "./scale.ts";

/** Amounts counted within a window. */
export interface Ring {
  readonly scale: Scale;
  /** Number of the newest bucket. */
  readonly newest: number;
  /** Amount of each bucket, from the newest back; >= 0. */
  readonly amounts: readonly bigint[];
}

export function emptyRing(scale: Scale): Ring {
  return { scale, newest: 0, amounts: [] };
}

/**
 * Sum of the window that ends at `nowMs`: never less than the exact sum, never more than that of a window one bucket longer. Amounts dated
 * after `nowMs`, left by a clock that was set back, count as well.
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
  const bucket = bucketAt(ring.scale, atMs);
  const oldest = oldestBucket(ring.scale, nowMs);
  if (amount === 0n || bucket < oldest) return ring;
  const opened = ring.amounts.length === 0 ? { ...ring, newest: bucket } : openedUpTo(ring, bucket, oldest);
  // A clock that was set back by more than a window makes the amount count longer than it needs to.
  const index = Math.min(opened.newest - bucket, keptBuckets(ring.scale) - 1);
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
  const index = ring.newest - bucketAt(ring.scale, atMs);
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
  if (atMost < 0n) return undefined;
  let oldest = amounts.length;
  while (sum > atMost && oldest > 0) sum -= amounts[--oldest] ?? 0n;
  return leavesAt(ring.scale, ring.newest - oldest);
}

/**
 * Converts a ring to another scale, for another window. Each old bucket counts as if all of it had been added at its end, because the exact
 * moment is not known: up to one old bucket too long, never too short. Amounts that a shorter window has dropped are lost; a ring of a
 * calendar day keeps all amounts of its month.
 */
export function resizeRing(ring: Ring, scale: Scale, nowMs: number): Ring {
  if (haveSameBuckets(ring.scale, scale)) return ring.scale.kind === scale.kind ? ring : { ...ring, scale };
  const kept: Scale = "timeZone" in scale ? { ...scale, kind: "calendar_month" } : scale;
  const resized = ring.amounts.reduceRight((next, amount, index) => {
    return addToRing(next, amount, lastMoment(ring, ring.newest - index, nowMs), nowMs);
  }, emptyRing(kept));
  return { ...resized, scale };
}

/** Latest moment at which an amount of this bucket can have been added. */
function lastMoment({ scale }: Ring, bucket: number, nowMs: number): number {
  if (scale.kind === "endless") return nowMs;
  return Math.max(startOfBucket(scale, bucket), Math.min(startOfBucket(scale, bucket + 1) - 1, nowMs));
}

/** Amounts that count at `nowMs`, newest first. */
function amountsInWindow({ scale, newest, amounts }: Ring, nowMs: number): readonly bigint[] {
  return amounts.slice(0, Math.max(0, newest - oldestBucket(scale, nowMs) + 1));
}

/**
 * Ring whose newest bucket is at least `bucket`; the oldest buckets drop out. If `bucket` is ahead of now, dropped amounts that still count
 * move to the oldest bucket that is kept: they count longer, never shorter.
 *
 * @param oldest the oldest bucket that counts now
 */
function openedUpTo(ring: Ring, bucket: number, oldest: number): Ring {
  const ahead = bucket - ring.newest;
  if (ahead <= 0) return ring;
  const kept = keptBuckets(ring.scale);
  const between = Array.from({ length: Math.min(ahead, kept) }, () => 0n);
  const amounts = [...between, ...ring.amounts].slice(0, kept);
  const dropped = ring.amounts.filter((_, index) => index + ahead >= kept && ring.newest - index >= oldest);
  const moved = dropped.reduce((sum, amount) => sum + amount, 0n);
  if (moved > 0n) amounts[kept - 1] = (amounts[kept - 1] ?? 0n) + moved;
  return { ...ring, newest: bucket, amounts };
}

/** Ring as it is stored. */
export interface StoredRing {
  /**
   * Integers >= 0. First the scale: one of `STORED_SCALES`, or the width of its buckets in milliseconds, which is 10 at least. Then the
   * newest bucket: its number, or for a calendar window its first moment, so that Postgres needs no time zone to compare it. Then the amounts.
   */
  readonly numbers: readonly bigint[];
  /** Time zone of a calendar window. */
  readonly timeZone: string | undefined;
}

const STORED_SCALES = { endless: 0n, calendar_day: 1n, calendar_month: 2n } as const;

/** Time of day at which the number of a day is computed: far from midnight, which a change of the time zone's rules can move. */
const INSIDE_DAY_MS = 11 * 3_600_000;

export function toStoredRing({ scale, newest, amounts }: Ring): StoredRing {
  const last = amounts.findLastIndex((amount) => amount > 0n);
  const counted = amounts.slice(0, last + 1);
  const isCalendar = "timeZone" in scale;
  const position = isCalendar && amounts.length > 0 ? startOfBucket(scale, newest) : newest;
  const stored = scale.kind === "rolling" ? BigInt(scale.bucketMs) : STORED_SCALES[scale.kind];
  return { numbers: [stored, BigInt(position), ...counted], timeZone: isCalendar ? scale.timeZone : undefined };
}

/** @throws Error if the ring cannot be read: a request that needs it must be refused */
export function fromStoredRing({ numbers, timeZone }: StoredRing): Ring {
  const [stored, position, ...amounts] = numbers;
  const scale = stored === undefined ? undefined : storedScale(stored, timeZone);
  if (scale === undefined || position === undefined) throw new Error("a window cannot be read");
  if (amounts.length > keptBuckets(scale) || numbers.some((number) => number < 0n))
    throw new Error("a window cannot be read");
  const newest = "timeZone" in scale ? bucketAt(scale, Number(position) + INSIDE_DAY_MS) : Number(position);
  return { scale, newest, amounts };
}

function storedScale(stored: bigint, timeZone: string | undefined): Scale | undefined {
  if (stored === STORED_SCALES.endless) return ENDLESS;
  if (stored > STORED_SCALES.calendar_month) return rollingScale(Number(stored));
  if (timeZone === undefined || !isTimeZone(timeZone)) return undefined;
  return { kind: stored === STORED_SCALES.calendar_day ? "calendar_day" : "calendar_month", timeZone };
}
