import type { DimensionName } from "../arguments.ts";
import { countColumn, moneyColumns } from "../output/columns.ts";
import { formatCount } from "../output/money.ts";
import { formatTime } from "../output/time.ts";
import { type Column, table, type TableStyle } from "../output/table.ts";
import type { TotalsView, UsageGroupView } from "./usage.ts";

type GroupName = DimensionName | "namespace";

type NameColumns = Readonly<Record<GroupName, readonly Column<UsageGroupView>[]>>;

/** Columns of the dimensions. @param timeZone IANA name of the time zone in which people see days and hours */
const nameColumns = (timeZone: string): NameColumns => ({
  namespace: [
    valueColumn("NAMESPACE", "namespace_name", ({ namespace_name, namespace_id }) => namespace_name ?? namespace_id),
    idColumn("NAMESPACE ID", "namespace_id"),
  ],
  day: [
    {
      header: `DAY (${timeZone})`,
      name: "day",
      cell: ({ day }) => (day === undefined ? "" : formatTime(day, timeZone).slice(0, 10)),
      value: ({ day }) => day,
    },
  ],
  hour: [
    {
      header: `HOUR (${timeZone})`,
      name: "hour",
      cell: ({ hour }) => (hour === undefined ? "" : formatTime(hour, timeZone).slice(0, 16)),
      value: ({ hour }) => hour,
    },
  ],
  key: [valueColumn("KEY", "key_name", ({ key_name, key_id }) => key_name ?? key_id), idColumn("KEY ID", "key_id")],
  model: [valueColumn("MODEL", "model")],
  provider: [valueColumn("PROVIDER", "provider")],
  status: [valueColumn("STATUS", "status")],
});

/** Column of the value of a dimension. In the group of all other values, people see their number. */
function valueColumn(
  header: string,
  name: "key_name" | "namespace_name" | "model" | "provider" | "status",
  textOf: (group: UsageGroupView) => string | null | undefined = (group) => group[name],
): Column<UsageGroupView> {
  const othersOf = ({ rest_count }: UsageGroupView): string | undefined =>
    rest_count === undefined ? undefined : `${formatCount(rest_count)} others`;
  return { header, name, cell: (group) => othersOf(group) ?? textOf(group) ?? "-", value: (group) => group[name] };
}

function idColumn(header: string, name: "key_id" | "namespace_id"): Column<UsageGroupView> {
  return { header, leaveOutRank: 2, cell: (group) => group[name] ?? "", value: (group) => group[name] };
}

const NUMBERS: readonly Column<UsageGroupView>[] = [
  countColumn("REQUESTS", "request_count"),
  countColumn("IN", "prompt_tokens"),
  countColumn("OUT", "completion_tokens"),
  ...moneyColumns<"spend_micro_usd", UsageGroupView>("spend_micro_usd"),
];

const LATENCIES = [
  ["P50 MS", "total_p50_ms"],
  ["P95 MS", "total_p95_ms"],
  ["P99 MS", "total_p99_ms"],
  ["FIRST P50 MS", "first_token_p50_ms"],
  ["FIRST P95 MS", "first_token_p95_ms"],
  ["FIRST P99 MS", "first_token_p99_ms"],
] as const;

function latencyColumn([header, name]: (typeof LATENCIES)[number]): Column<UsageGroupView> {
  return {
    header,
    name,
    only: "wide",
    right: true,
    cell: (group) => String(group[name] ?? "-"),
    value: (group) => group[name],
  };
}

/** Columns of groups. People see the column of denied requests only if there are any. */
export function groupColumns(
  groupBy: readonly GroupName[],
  hasDenied: boolean,
  timeZone = "UTC",
): readonly Column<UsageGroupView>[] {
  const names = Object.entries(nameColumns(timeZone)).flatMap(([name, columns]) =>
    groupBy.includes(name as GroupName) ? columns : [],
  );
  return [
    ...names,
    ...NUMBERS,
    countColumn("DENIED", "denied_count", hasDenied ? {} : { only: "programs" }),
    countColumn("DENIED WITHOUT A ROW", "denied_unlogged_count", { only: "programs" }),
    ...LATENCIES.map(latencyColumn),
    { header: "REST", name: "rest_count", only: "programs", cell: () => "", value: ({ rest_count }) => rest_count },
  ];
}

/** Table with a row for each group and one for the totals; empty if there are no groups. */
export function groupTable(
  groups: readonly UsageGroupView[],
  groupBy: readonly GroupName[],
  totals: TotalsView,
  { style, timeZone }: { readonly style?: TableStyle; readonly timeZone?: string | undefined } = {},
): readonly string[] {
  if (groups.length === 0) return [];
  const [first, ...others] = groupColumns(groupBy, totals.denied_count > 0, timeZone);
  if (first === undefined) return [];
  const isTotal = (row: UsageGroupView): boolean => row === totals;
  const withTotal = (column: Column<UsageGroupView>, total: string): Column<UsageGroupView> => ({
    ...column,
    cell: (row) => (isTotal(row) && !column.right ? total : column.cell(row)),
  });
  const columns = [withTotal(first, "TOTAL"), ...others.map((column) => withTotal(column, ""))];
  const barCell = barOf(groups);
  const bar = { header: "", leaveOutRank: 1, cell: (row: UsageGroupView) => (isTotal(row) ? "" : barCell(row)) };
  return [table([...columns, bar], [...groups, totals], style)];
}

const BAR_WIDTH = 16;
const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** Bar of a group, in proportion to the largest spend of a group, or to the largest number of requests if nothing was spent. */
function barOf(groups: readonly UsageGroupView[]): (group: UsageGroupView) => string {
  const hasSpend = groups.some(({ spend_micro_usd }) => spend_micro_usd > 0);
  const size = (group: UsageGroupView): number => Number(hasSpend ? group.spend_micro_usd : group.request_count);
  const most = groups.reduce((max, group) => Math.max(max, size(group)), 1);
  return (group) => {
    const eighths = Math.round((size(group) / most) * BAR_WIDTH * 8);
    return "█".repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8];
  };
}
