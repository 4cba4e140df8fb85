import type { DimensionName } from "../arguments.ts";
import { formatMicroUsd } from "../output/money.ts";
import type { Style } from "../output/style.ts";
import { block } from "../output/table.ts";
import { type TotalsView, usageFields, type UsageGroupView, type UsageView } from "./usage.ts";
import { groupTable } from "./usage-groups.ts";

/** Usage of a time range, its largest keys and models, and the usage of the previous period of the same length. */
export interface ReportView extends UsageView {
  /** Null if the node no longer keeps all usage of that period. */
  readonly previous: UsageView | null;
  /** Keys that spent most, the largest first. */
  readonly keys: readonly UsageGroupView[];
  readonly models: readonly UsageGroupView[];
  readonly statuses: readonly UsageGroupView[];
  /** UTC days with requests, oldest first. */
  readonly days: readonly UsageGroupView[];
}

/** Numbers of groups in a report, those that were left out included. */
export interface ReportCounts {
  readonly keys: number;
  readonly models: number;
}

/** Maximum number of values that a node returns at once. */
const MAX_READ = 10_000;

/** Text of a report for people. @param timeZone of its times; by default that of the reader */
export function reportText(report: ReportView, counts: ReportCounts, style: Style, timeZone?: string): string {
  const { previous, keys, models, statuses, days } = report;
  const fields: readonly [string, string][] = [
    ...usageFields(report, style, timeZone),
    ["spend before", previous === null ? "not kept any more" : comparison(report, previous)],
  ];
  const section = (by: DimensionName, groups: readonly UsageGroupView[], count = groups.length): readonly string[] => {
    const advice = count <= MAX_READ ? `: --top ${count} shows all` : "";
    const cut = groups.length < count ? [style.dim(`${groups.length} of ${count} ${by}s${advice}`)] : [];
    return groupTable(groups, [by], report, { style }).map((table) => [table, ...cut].join("\n"));
  };
  return [
    block(fields),
    ...section("key", keys, counts.keys),
    ...section("model", models, counts.models),
    ...section("status", statuses),
    ...section("day", days),
  ].join("\n\n");
}

/** Spend of the previous period, and the difference to the current one. */
function comparison({ spend_micro_usd: now }: TotalsView, { spend_micro_usd: before }: TotalsView): string {
  if (Number(before) === 0) return formatMicroUsd(before);
  const percent = Math.round(((Number(now) - Number(before)) / Number(before)) * 100);
  return `${formatMicroUsd(before)}; ${percent < 0 ? "" : "+"}${percent} % since`;
}
