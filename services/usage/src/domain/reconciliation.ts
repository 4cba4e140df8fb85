import type { Id } from "@routeplane/domain";
import type { UsageGroup, UsageRange } from "./usage.ts";

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
   * Finds the differences of a namespace, at most 1000, in one snapshot.
   *
   * @param keptFrom older sums are not compared with the log
   */
  findDifferences(namespaceId: Id<"ns">, range: UsageRange, keptFrom: Date): Promise<readonly UsageDifference[]>;
}

export interface Reconciliation {
  readonly differences: readonly UsageDifference[];
  readonly namespaceCount: number;
  /** Time before which the request log of the range was dropped; undefined if none of it was. */
  readonly keptFrom: Date | undefined;
  /** Last namespace that was read; undefined if all were read. */
  readonly lastNamespace: Id<"ns"> | undefined;
}

/** Number of differences after which no further namespace is read: an answer has less than 2000, which callers can receive. */
const MAX_DIFFERENCES = 1_000;

/**
 * Compares stored sums with expected ones, one namespace after the other, until all are read, `timeLimitMs` has passed, or there are
 * `MAX_DIFFERENCES`.
 *
 * @param range must consist of whole hours
 */
export async function reconcile(
  store: ReconciliationStore,
  range: UsageRange,
  after: Id<"ns"> | undefined,
  timeLimitMs: number,
): Promise<Reconciliation> {
  const endsAt = performance.now() + timeLimitMs;
  const kept = await store.keptFrom();
  const keptFrom = kept > range.from ? kept : undefined;
  const differences: UsageDifference[] = [];
  let last = after;
  for (let namespaceCount = 0; ; namespaceCount++) {
    if (namespaceCount > 0 && (performance.now() > endsAt || differences.length >= MAX_DIFFERENCES))
      return { differences, namespaceCount, keptFrom, lastNamespace: last };
    const next = await store.nextNamespace(range, last);
    if (next === undefined) return { differences, namespaceCount, keptFrom, lastNamespace: undefined };
    differences.push(...(await store.findDifferences(next, range, kept)));
    last = next;
  }
}
