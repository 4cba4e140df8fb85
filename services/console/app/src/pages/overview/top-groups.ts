import type { UsageGroup } from "@routeplane/contracts/usage";
import { sum } from "../../components/chart/series.ts";
import type { Measure, Totals } from "../../format/measures.ts";

/** Maximum number of rows of a list of the largest values. */
const MAX_ROWS = 7;

/** Row of a list of the largest values. */
export interface TopRow {
  /** Value of the dimension; absent for all others together. */
  readonly id?: string;
  /** Number of values that the row is the sum of. */
  readonly count: number;
  readonly totals: Totals;
}

/** Groups with the largest amounts of a measure, and one row for all others. The rows add up to the groups. */
export function topGroups<Group extends Totals & Pick<UsageGroup, "restCount">>(
  groups: readonly Group[],
  idOf: (group: Group) => string,
  { valueOf }: Measure,
): readonly TopRow[] {
  const byId = Map.groupBy(groups, (group) => (group.restCount > 0n ? undefined : idOf(group)));
  const rows = [...byId]
    .flatMap(([id, parts]): readonly TopRow[] => (id === undefined ? [] : [{ id, count: 1, totals: addUp(parts) }]))
    .toSorted((a, b) => compareDown(valueOf(a.totals), valueOf(b.totals)));
  const rest = byId.get(undefined) ?? [];
  if (rows.length <= MAX_ROWS + 1 && rest.length === 0) return rows;
  const others = rows.slice(MAX_ROWS);
  const count = others.length + Number(rest[0]?.restCount ?? 0n);
  return [...rows.slice(0, MAX_ROWS), { count, totals: addUp([...others.map(({ totals }) => totals), ...rest]) }];
}

function addUp(parts: readonly Totals[]): Totals {
  return {
    requestCount: sum(parts.map(({ requestCount }) => requestCount)),
    promptTokens: sum(parts.map(({ promptTokens }) => promptTokens)),
    completionTokens: sum(parts.map(({ completionTokens }) => completionTokens)),
    spendMicroUsd: sum(parts.map(({ spendMicroUsd }) => spendMicroUsd)),
    deniedCount: sum(parts.map(({ deniedCount }) => deniedCount)),
  };
}

function compareDown(a: bigint, b: bigint): number {
  return a > b ? -1 : Number(a < b);
}
