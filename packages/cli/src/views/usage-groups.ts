import type { DimensionName } from "../arguments.ts";
import { formatUsd } from "../output/money.ts";
import { type Column, table, type TableStyle } from "../output/table.ts";
import type { UsageGroupView } from "./usage.ts";

type GroupName = DimensionName | "namespace";

const CELLS: Readonly<Record<GroupName, Column<UsageGroupView>>> = {
  namespace: { header: "NAMESPACE", cell: ({ namespace_id = "" }) => namespace_id },
  day: { header: "DAY (UTC)", cell: ({ day = "" }) => day.slice(0, 10) },
  hour: { header: "HOUR (UTC)", cell: ({ hour = "" }) => hour.slice(0, 16).replace("T", " ") },
  key: { header: "KEY", cell: ({ key_id = "" }) => key_id },
  model: { header: "MODEL", cell: ({ model }) => model ?? "-" },
  provider: { header: "PROVIDER", cell: ({ provider }) => provider ?? "-" },
  status: { header: "STATUS", cell: ({ status = "" }) => status },
};

const NUMBERS: readonly Column<UsageGroupView>[] = [
  { header: "REQUESTS", right: true, cell: ({ request_count }) => String(request_count) },
  { header: "IN", right: true, cell: ({ prompt_tokens }) => String(prompt_tokens) },
  { header: "OUT", right: true, cell: ({ completion_tokens }) => String(completion_tokens) },
  { header: "MICRO-USD", right: true, leaveOutRank: 2, cell: ({ spend_micro_usd }) => String(spend_micro_usd) },
  { header: "USD", right: true, cell: ({ spend_micro_usd }) => formatUsd(spend_micro_usd) },
];

/** Column that is shown if a group has denied requests. */
const DENIED: Column<UsageGroupView> = {
  header: "DENIED",
  right: true,
  cell: ({ denied_count }) => String(denied_count),
};

/** Table with a row for each group; empty if there are no groups. */
export function groupTable(
  groups: readonly UsageGroupView[],
  groupBy: readonly GroupName[],
  style?: TableStyle,
): readonly string[] {
  if (groups.length === 0) return [];
  const names = Object.entries(CELLS).flatMap(([name, column]) =>
    groupBy.includes(name as GroupName) ? [column] : [],
  );
  const denied = groups.some(({ denied_count }) => denied_count > 0) ? [DENIED] : [];
  const bar: Column<UsageGroupView> = { header: "", leaveOutRank: 1, cell: barOf(groups) };
  return [table([...names, ...NUMBERS, ...denied, bar], groups, style)];
}

const BAR_WIDTH = 16;
const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** Bar of a group, in proportion to the largest spend of a group; to the number of requests if none cost anything. */
function barOf(groups: readonly UsageGroupView[]): (group: UsageGroupView) => string {
  const hasSpend = groups.some(({ spend_micro_usd }) => spend_micro_usd > 0);
  const size = (group: UsageGroupView): number => (hasSpend ? group.spend_micro_usd : group.request_count);
  const most = groups.reduce((max, group) => Math.max(max, size(group)), 1);
  return (group) => {
    const eighths = Math.round((size(group) / most) * BAR_WIDTH * 8);
    return "█".repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8];
  };
}
