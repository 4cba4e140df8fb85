import type { Id } from "@routeplane/domain";
import type { UsageGroup, UsageRange } from "./usage.ts";

/**
 * A kept sum of an hour or a day that is not what the log, or its hours, say; or a total of all that was not denied, of five
 * minutes or a day (of an hour, where the log is not kept any more). Alike in all but the numbers.
 */
export interface UsageDifference {
  readonly namespaceId: Id<"ns">;
  /** First moment of them, if it is the total of five minutes. */
  readonly fiveMinutes: Date | undefined;
  readonly kept: UsageGroup;
  readonly expected: UsageGroup;
}

export interface ReconciliationStore {
  /** Of requests from before nothing is kept but the sums. */
  keptFrom(): Promise<Date>;
  /** Of the namespaces that have sums or requests in the range, the first one after `after`, in order of id. */
  nextNamespace(range: UsageRange, after: Id<"ns"> | undefined): Promise<Id<"ns"> | undefined>;
  /**
   * Where the sums of a namespace differ, at one moment; at most 1000.
   *
   * @param keptFrom what is older is not held against the log
   */
  findDifferences(namespaceId: Id<"ns">, range: UsageRange, keptFrom: Date): Promise<readonly UsageDifference[]>;
}

export interface Reconciliation {
  readonly differences: readonly UsageDifference[];
  readonly namespaceCount: number;
  /** Of requests of the range that are older nothing is kept; undefined: all are. */
  readonly keptFrom: Date | undefined;
  /** The last namespace that was read; undefined: there is no more. */
  readonly lastNamespace: Id<"ns"> | undefined;
}

/**
 * Reads one namespace after the other, until all are read or so much time has passed.
 *
 * @param range of whole hours
 */
export async function reconcile(
  store: ReconciliationStore,
  range: UsageRange,
  after: Id<"ns"> | undefined,
  budgetMs: number,
): Promise<Reconciliation> {
  const endsAt = performance.now() + budgetMs;
  const kept = await store.keptFrom();
  const keptFrom = kept > range.from ? kept : undefined;
  const differences: UsageDifference[] = [];
  let last = after;
  for (let namespaceCount = 0; ; namespaceCount++) {
    if (namespaceCount > 0 && performance.now() > endsAt)
      return { differences, namespaceCount, keptFrom, lastNamespace: last };
    const next = await store.nextNamespace(range, last);
    if (next === undefined) return { differences, namespaceCount, keptFrom, lastNamespace: undefined };
    differences.push(...(await store.findDifferences(next, range, kept)));
    last = next;
  }
}
