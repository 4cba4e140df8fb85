import type { Id } from "@routeplane/domain";
import type { PageRequest, RequestFilter, UsageStore } from "../src/domain/ports.ts";
import { totalOf, type UsageQuery, type UsageRange, type UsageTotals } from "../src/domain/usage.ts";

/** Whatever time a test's request has. */
export const EVERYTHING: UsageRange = { from: new Date("2000-01-01T00:00:00Z"), to: new Date("2100-01-01T00:00:00Z") };

/** Of everything, in one group, unless `given` says otherwise. */
export function usageQuery(given: Partial<UsageQuery> = {}): UsageQuery {
  return { range: EVERYTHING, groupBy: [], keyId: undefined, model: undefined, ...given };
}

export async function totalsIn(usage: UsageStore, namespaceId: Id<"ns">, range = EVERYTHING): Promise<UsageTotals> {
  return totalOf(await usage.usage(namespaceId, usageQuery({ range })));
}

/** The newest 1000, whatever they are, unless `given` says otherwise. */
export function pageRequest({ filter, ...page }: PageQuery = {}): PageRequest {
  const none = { keyId: undefined, model: undefined, status: undefined, from: undefined, to: undefined };
  return { size: 1_000, before: undefined, ...page, filter: { ...none, ...filter } };
}

interface PageQuery extends Partial<Omit<PageRequest, "filter">> {
  readonly filter?: Partial<RequestFilter>;
}
