import { definedFields } from "@routeplane/domain";
import type { LimitJson } from "@routeplane/policy-spec";
import { formatCount, formatUsd } from "../output/money.ts";
import type { Column } from "../output/table.ts";
import { formatTime } from "../output/time.ts";
import { budgetWindowText } from "./policies/budget-window.ts";

/** Columns of the limits of a key. @param keyId the key; limits that are bound to it are shown without its name */
export function limitColumns(keyId: string): readonly Column<LimitJson>[] {
  return [
    {
      header: "LIMIT",
      cell: (limit) => `${amountText(limit, limit.limit)} ${windowText(limit)}`,
      value: ({ limit }) => limit,
    },
    { header: "UNIT", only: "programs", cell: ({ unit }) => unit },
    { header: "WINDOW", only: "programs", cell: ({ window }) => window ?? "" },
    { header: "TIME ZONE", only: "programs", cell: ({ time_zone = "" }) => time_zone },
    { header: "WINDOW SECS", only: "programs", cell: String, value: ({ window_secs }) => window_secs },
    amountColumn("USED", "used"),
    amountColumn("RESERVED", "reserved", 2),
    amountColumn("LEFT", "left"),
    {
      header: "RESETS",
      name: "resets_at",
      leaveOutRank: 1,
      cell: ({ resets_at }) => (resets_at === null ? "" : formatTime(resets_at)),
      value: ({ resets_at }) => resets_at,
    },
    { header: "MODE", leaveOutRank: 3, cell: ({ mode }) => mode },
    { header: "POLICY", name: "policy_name", cell: ({ policy_name }) => policy_name },
    {
      header: "BOUND TO",
      name: "principal_id",
      leaveOutRank: 4,
      cell: (limit) => principalText(limit, keyId),
      value: ({ principal_id }) => principal_id,
    },
  ];
}

function amountColumn(header: string, name: "used" | "reserved" | "left", leaveOutRank?: number): Column<LimitJson> {
  const amount = { header, cell: (limit: LimitJson) => amountText(limit, limit[name]) };
  const layout = { right: "point" as const, ...(leaveOutRank !== undefined && { leaveOutRank }) };
  return { ...amount, ...layout, value: (limit) => limit[name] };
}

function amountText({ unit }: LimitJson, amount: number): string {
  return unit === "micro_usd" ? formatUsd(amount) : formatCount(amount);
}

function windowText({ unit, window, time_zone, window_secs: secs }: LimitJson): string {
  if (unit === "micro_usd") return budgetWindowText({ window: window ?? `${secs} s`, ...definedFields({ time_zone }) });
  return unit === "concurrent" ? "at the same time" : `${unit} per ${secs} s`;
}

function principalText({ principal_type: type, principal_id: id }: LimitJson, keyId: string): string {
  if (id === keyId) return "this key";
  return type === "namespace" ? "the namespace" : id;
}
