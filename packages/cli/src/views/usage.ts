import type { GetNodeUsageResponse, GetUsageResponse, NamespaceUsage, UsageGroup } from "@routeplane/contracts/usage";
import type { DimensionName } from "../arguments.ts";
import { formatMicroUsd } from "../output/money.ts";
import type { Names } from "../request-names.ts";
import type { Style } from "../output/style.ts";
import { formatTime } from "../output/time.ts";
import { fromProtoStatus } from "./requests/request.ts";
import { fromProtoInteger, requirePresent, fromProtoRequiredTime, fromProtoSum, fromProtoText } from "./values.ts";

export interface TotalsView {
  readonly request_count: number;
  readonly prompt_tokens: number | bigint;
  readonly completion_tokens: number | bigint;
  readonly spend_micro_usd: number | bigint;
  /** Number of denied requests; not part of `request_count`. */
  readonly denied_count: number;
  /** Number of denied requests without a row in the request log; part of `denied_count`. */
  readonly denied_unlogged_count: number;
  /** Latencies of requests that ended, in milliseconds; null if not known, e.g. by key or status. */
  readonly total_p50_ms: number | null;
  readonly total_p95_ms: number | null;
  readonly total_p99_ms: number | null;
  /** Times until the first output of a stream. */
  readonly first_token_p50_ms: number | null;
  readonly first_token_p95_ms: number | null;
  readonly first_token_p99_ms: number | null;
}

export interface UsageView extends TotalsView {
  readonly from: string;
  /** End of the range, exclusive. */
  readonly to: string;
}

/**
 * Totals of one group, with one field for each dimension of `--group-by`. The field is null if the requests have no value of the dimension,
 * as in the group of the rest.
 */
export interface UsageGroupView extends TotalsView {
  readonly namespace_id?: string | null;
  readonly namespace_name?: string | null;
  readonly key_id?: string | null;
  /** Current name of the key; null if it is not known. */
  readonly key_name?: string | null;
  readonly model?: string | null;
  readonly provider?: string | null;
  readonly status?: string | null;
  /** Start of the hour, in UTC. */
  readonly hour?: string;
  /** Start of the day, in UTC or in `--time-zone`. */
  readonly day?: string;
  /** Number of values that the group of the rest sums up; only with `--largest`. */
  readonly rest_count?: number;
}

export function fromProtoUsage(usage: GetUsageResponse | GetNodeUsageResponse): UsageView {
  return {
    from: fromProtoRequiredTime(usage.from),
    to: fromProtoRequiredTime(usage.to),
    ...fromProtoTotals(usage),
  };
}

export function fromProtoUsageGroup(
  group: UsageGroup,
  groupBy: readonly DimensionName[],
  names: Pick<Names, "key">,
): UsageGroupView {
  const isRest = group.restCount > 0n;
  return {
    ...(groupBy.includes("key") && { key_id: fromProtoText(group.keyId), key_name: names.key(group.keyId) }),
    ...(groupBy.includes("model") && { model: fromProtoText(group.model) }),
    ...(groupBy.includes("provider") && { provider: fromProtoText(group.provider) }),
    ...(groupBy.includes("status") && { status: isRest ? null : fromProtoStatus(group.status) }),
    ...(groupBy.includes("hour") && { hour: fromProtoRequiredTime(group.hour) }),
    ...(groupBy.includes("day") && { day: fromProtoRequiredTime(group.day) }),
    ...fromProtoTotals(group),
    ...(isRest && { rest_count: fromProtoInteger(group.restCount) }),
  };
}

/**
 * Converts usage of one namespace of the node. Keys have no names, because an operator credential cannot read them.
 *
 * @param namespaces names of namespaces by id
 */
export function fromProtoNamespaceUsage(
  { namespaceId, usage }: NamespaceUsage,
  groupBy: readonly DimensionName[],
  namespaces: ReadonlyMap<string, string>,
): UsageGroupView {
  return {
    namespace_id: fromProtoText(namespaceId),
    namespace_name: namespaces.get(namespaceId) ?? null,
    ...fromProtoUsageGroup(requirePresent(usage), groupBy, { key: () => null }),
  };
}

export function fromProtoTotals(totals: GetUsageResponse | GetNodeUsageResponse | UsageGroup): TotalsView {
  return {
    request_count: fromProtoInteger(totals.requestCount),
    prompt_tokens: fromProtoSum(totals.promptTokens),
    completion_tokens: fromProtoSum(totals.completionTokens),
    spend_micro_usd: fromProtoSum(totals.spendMicroUsd),
    denied_count: fromProtoInteger(totals.deniedCount),
    denied_unlogged_count: fromProtoInteger(totals.deniedUnloggedCount),
    total_p50_ms: fromProtoMs(totals.totalLatency?.p50Ms),
    total_p95_ms: fromProtoMs(totals.totalLatency?.p95Ms),
    total_p99_ms: fromProtoMs(totals.totalLatency?.p99Ms),
    first_token_p50_ms: fromProtoMs(totals.firstTokenLatency?.p50Ms),
    first_token_p95_ms: fromProtoMs(totals.firstTokenLatency?.p95Ms),
    first_token_p99_ms: fromProtoMs(totals.firstTokenLatency?.p99Ms),
  };
}

function fromProtoMs(ms: bigint | undefined): number | null {
  return ms === undefined ? null : fromProtoInteger(ms);
}

/** Fields for latencies; empty if none are known. */
function latencyTexts(usage: TotalsView): readonly [string, string][] {
  const text = (name: "total" | "first_token"): string =>
    (["p50", "p95", "p99"] as const).map((quantile) => `${quantile} ${usage[`${name}_${quantile}_ms`]} ms`).join(", ");
  return [
    ...(usage.total_p50_ms === null ? [] : [["latency", text("total")] as [string, string]]),
    ...(usage.first_token_p50_ms === null ? [] : [["first token", text("first_token")] as [string, string]]),
  ];
}

/** Field for denied requests; empty if there are none. */
function deniedFields({ denied_count, denied_unlogged_count }: UsageView): readonly [string, string][] {
  if (denied_count === 0) return [];
  const unlogged = denied_unlogged_count === 0 ? "" : ` (${denied_unlogged_count} of them without a row)`;
  return [["denied", `${denied_count}${unlogged}`]];
}

export function usageFields(
  usage: UsageView,
  { count }: Pick<Style, "count">,
  timeZone?: string,
): readonly [string, string][] {
  return [
    ...rangeFields(usage, timeZone),
    ["requests", count(usage.request_count)],
    ["prompt tokens", count(usage.prompt_tokens)],
    ["completion tokens", count(usage.completion_tokens)],
    ["spend", formatMicroUsd(usage.spend_micro_usd)],
    ...deniedFields(usage),
    ...latencyTexts(usage),
  ];
}

/** Fields above a table of groups. The table has the other totals in its last row. */
export function groupedUsageFields(usage: UsageView, timeZone?: string): readonly [string, string][] {
  return [...rangeFields(usage, timeZone), ...deniedFields(usage)];
}

function rangeFields({ from, to }: UsageView, timeZone: string | undefined): readonly [string, string][] {
  return [
    ["from", formatTime(from, timeZone)],
    ["to", formatTime(to, timeZone)],
  ];
}
