import type { Id } from "@routeplane/domain";
import type { Database } from "@routeplane/postgres";
import type { PageRequest, RequestFilter, UsageStore } from "../src/domain/ports.ts";
import type { LoggedRequest } from "../src/domain/request.ts";
import {
  type AdmittedTotals,
  totalOf,
  type UsageQuery,
  type UsageRange,
  type UsageTotals,
} from "../src/domain/usage.ts";
import { fromRequestRow } from "../src/store/request-columns.ts";
import type { UsageSchema } from "../src/store/schema.ts";

/** Whatever time a test's request has. */
export const EVERYTHING: UsageRange = { from: new Date("2000-01-01T00:00:00Z"), to: new Date("2100-01-01T00:00:00Z") };

/** Of everything, in one group, unless `given` says otherwise. */
export function usageQuery(given: Partial<UsageQuery> = {}): UsageQuery {
  return { range: EVERYTHING, groupBy: [], keyId: undefined, model: undefined, ...given };
}

export async function totalsIn(usage: UsageStore, namespaceId: Id<"ns">, range = EVERYTHING): Promise<AdmittedTotals> {
  const { deniedCount: _, deniedUnloggedCount: _unlogged, ...admitted } = await allTotalsIn(usage, namespaceId, range);
  return admitted;
}

/** With those that were denied. */
export async function allTotalsIn(usage: UsageStore, namespaceId: Id<"ns">, range = EVERYTHING): Promise<UsageTotals> {
  return totalOf(await usage.sumUsage(namespaceId, usageQuery({ range })));
}

/** All that is kept of every request, newest first. */
export async function rowsIn(
  database: Database<UsageSchema>,
  namespaceId: Id<"ns">,
): Promise<readonly LoggedRequest[]> {
  const rows = await database.read({ namespaceId }, (builder) =>
    builder.selectFrom("requests").selectAll().orderBy("created_at", "desc").orderBy("id", "desc").compile(),
  );
  return rows.map(fromRequestRow);
}

/** The newest 1000, whatever they are, unless `given` says otherwise. */
export function pageRequest({ filter, ...page }: PageQuery = {}): PageRequest {
  const none = { keyId: undefined, model: undefined, status: undefined, from: undefined, to: undefined };
  return { size: 1_000, before: undefined, ...page, filter: { ...none, ...filter } };
}

interface PageQuery extends Partial<Omit<PageRequest, "filter">> {
  readonly filter?: Partial<RequestFilter>;
}
