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

/** Range that includes the times of all test requests. */
export const EVERYTHING: UsageRange = { from: new Date("2000-01-01T00:00:00Z"), to: new Date("2100-01-01T00:00:00Z") };

/** Returns a query for one group of everything, with the fields of `given`. */
export function usageQuery(given: Partial<UsageQuery> = {}): UsageQuery {
  return {
    range: EVERYTHING,
    groupBy: [],
    keyId: undefined,
    model: undefined,
    provider: undefined,
    days: undefined,
    withLatencies: false,
    largest: undefined,
    ...given,
  };
}

export async function totalsIn(usage: UsageStore, namespaceId: Id<"ns">, range = EVERYTHING): Promise<AdmittedTotals> {
  const { deniedCount: _, deniedUnloggedCount: _unlogged, ...admitted } = await allTotalsIn(usage, namespaceId, range);
  return admitted;
}

/** Sums all requests of a namespace, including denied ones. */
export async function allTotalsIn(usage: UsageStore, namespaceId: Id<"ns">, range = EVERYTHING): Promise<UsageTotals> {
  return totalOf(await usage.sumUsage(namespaceId, usageQuery({ range })));
}

/** Reads every row of a namespace with its receipt, newest first. */
export async function rowsIn(
  database: Database<UsageSchema>,
  namespaceId: Id<"ns">,
): Promise<readonly LoggedRequest[]> {
  const rows = await database.read({ namespaceId }, (builder) =>
    builder.selectFrom("requests").selectAll().orderBy("created_at", "desc").orderBy("id", "desc").compile(),
  );
  return rows.map(fromRequestRow);
}

/** Returns a request for the newest 1000 requests, with the fields of `given`. */
export function pageRequest({ filter, ...page }: PageQuery = {}): PageRequest {
  const unfiltered = { keyId: undefined, model: undefined, provider: undefined, status: undefined };
  const none = { ...unfiltered, from: undefined, to: undefined };
  return { size: 1_000, before: undefined, ...page, filter: { ...none, ...filter } };
}

interface PageQuery extends Partial<Omit<PageRequest, "filter">> {
  readonly filter?: Partial<RequestFilter>;
}
