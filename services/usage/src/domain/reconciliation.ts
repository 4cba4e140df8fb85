import type { Id } from "@routeplane/domain";
import { startOfDay, type UsageGroup, type UsageRange, wholeDays } from "./usage.ts";

/**
 * Stored sum that differs from the expected one. A rollup of an hour is compared with the request log, and a rollup of a day with its
 * hours. A total is of five minutes or a day; where the log was dropped, of an hour. The two groups differ only in their numbers.
 */
export interface UsageDifference {
  readonly namespaceId: Id<"ns">;
  /** First moment of the five minutes; undefined if the sum is of an hour or a day. */
  readonly fiveMinutes: Date | undefined;
  readonly kept: UsageGroup;
  readonly expected: UsageGroup;
}

export interface ReconciliationStore {
  /** Returns the time before which the request log was dropped, so that only sums are left. */
  keptFrom(): Promise<Date>;
  /** Returns the first namespace after `after`, in order of id, that has sums or requests in the range. */
  nextNamespace(range: UsageRange, after: Id<"ns"> | undefined): Promise<Id<"ns"> | undefined>;
  /**
   * Returns the end of the first part of a range that has at most `rows` requests, and sums of hours, of a namespace: the start of a day, or
   * of an hour, after the start of the range. An hour with more is a part.
   */
  endOfPart(namespaceId: Id<"ns">, range: UsageRange, rows: number): Promise<Date>;
  /**
   * Finds the differences of a part of a namespace, at most 1000, in one snapshot.
   *
   * @param keptFrom older sums are not compared with the log
   */
  findDifferences(namespaceId: Id<"ns">, part: ReconciliationPart, keptFrom: Date): Promise<readonly UsageDifference[]>;
}

/** Part of a range whose hours and five minutes are compared. */
export interface ReconciliationPart extends UsageRange {
  /** Whole days of UTC whose sums are compared with those of their hours and five minutes; undefined: none. */
  readonly days: UsageRange | undefined;
}

/** Position after which a reconciliation continues. */
export interface ReconciliationPosition {
  readonly namespaceId: Id<"ns">;
  /** Start of an hour from which the namespace is still to be read; undefined if it was read. */
  readonly from: Date | undefined;
}

/** Bounds of one answer. */
export interface ReconciliationLimits {
  /** Time after which no further part is read. */
  readonly timeLimitMs: number;
  /** Number of rows in one part. */
  readonly partRows: number;
}

export interface Reconciliation {
  readonly differences: readonly UsageDifference[];
  /** Number of namespaces that were read to the end of the range. */
  readonly namespaceCount: number;
  /** Time before which the request log of the range was dropped; undefined if none of it was. */
  readonly keptFrom: Date | undefined;
  /** Position of the next answer; undefined if everything was read. */
  readonly next: ReconciliationPosition | undefined;
}

/** Number of differences after which no further part is read: an answer has less than 2000, which callers can receive. */
const MAX_DIFFERENCES = 1_000;

/**
 * Compares stored sums with expected ones, one namespace after the other, each in parts that one statement can read in time, until all are
 * read, the time limit has passed, or there are `MAX_DIFFERENCES`.
 *
 * @param range must consist of whole hours
 */
export async function reconcile(
  store: ReconciliationStore,
  range: UsageRange,
  after: ReconciliationPosition | undefined,
  { timeLimitMs, partRows }: ReconciliationLimits,
): Promise<Reconciliation> {
  const endsAt = performance.now() + timeLimitMs;
  let kept = await store.keptFrom();
  const differences: UsageDifference[] = [];
  let namespaceCount = 0;
  let next = after;
  do {
    const rest = await restAfter(store, range, next);
    if (rest === undefined) return { differences, namespaceCount, keptFrom: keptFromIn(range, kept), next: undefined };
    const { namespaceId, from } = rest;
    const to = await store.endOfPart(namespaceId, { from, to: range.to }, partRows);
    const days = daysEndingIn({ from, to }, range);
    const compared = await compare(store, namespaceId, { from, to, days }, kept);
    differences.push(...compared.differences);
    kept = compared.keptFrom;
    const isRead = to >= range.to;
    if (isRead) namespaceCount++;
    next = { namespaceId, from: isRead ? undefined : to };
  } while (performance.now() <= endsAt && differences.length < MAX_DIFFERENCES);
  return { differences, namespaceCount, keptFrom: keptFromIn(range, kept), next };
}

/** Compares a part again if requests were dropped meanwhile, because their sums would differ from the log. */
async function compare(
  store: ReconciliationStore,
  namespaceId: Id<"ns">,
  part: ReconciliationPart,
  keptFrom: Date,
): Promise<{ readonly differences: readonly UsageDifference[]; readonly keptFrom: Date }> {
  const differences = await store.findDifferences(namespaceId, part, keptFrom);
  const keptNow = await store.keptFrom();
  return keptNow > keptFrom ? compare(store, namespaceId, part, keptNow) : { differences, keptFrom };
}

/** Returns the start of the kept requests; undefined if all requests of a range are kept. */
function keptFromIn({ from }: UsageRange, keptFrom: Date): Date | undefined {
  return keptFrom > from ? keptFrom : undefined;
}

/** Returns the namespace, and the start within the range, that is to be read next; undefined if everything was read. */
async function restAfter(
  store: ReconciliationStore,
  range: UsageRange,
  after: ReconciliationPosition | undefined,
): Promise<{ readonly namespaceId: Id<"ns">; readonly from: Date } | undefined> {
  if (after?.from !== undefined && after.from < range.to)
    return { namespaceId: after.namespaceId, from: after.from < range.from ? range.from : after.from };
  const namespaceId = await store.nextNamespace(range, after?.namespaceId);
  return namespaceId && { namespaceId, from: range.from };
}

/** Returns the whole days of the range that end in a part, so that each is compared once, however the range is divided. */
function daysEndingIn({ from, to }: UsageRange, range: UsageRange): UsageRange | undefined {
  const start = startOfDay(from);
  return wholeDays({ from: start < range.from ? range.from : start, to });
}
