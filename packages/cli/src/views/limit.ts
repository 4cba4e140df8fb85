import type { LimitJson } from "@routeplane/policy-spec";
import { formatUsd } from "../output/money.ts";
import type { Column } from "../output/table.ts";
import { formatTime } from "../output/time.ts";

/** Columns of the limits of a key. @param keyId the key, which is not named where a limit is bound to it */
export function limitColumns(keyId: string): readonly Column<LimitJson>[] {
  return [
    { header: "LIMIT", cell: (limit) => `${amountText(limit, limit.limit)} ${windowText(limit)}` },
    { header: "USED", cell: (limit) => amountText(limit, limit.used), right: true },
    { header: "RESERVED", leaveOutRank: 2, cell: (limit) => amountText(limit, limit.reserved), right: true },
    { header: "LEFT", cell: (limit) => amountText(limit, limit.left), right: true },
    { header: "RESETS", leaveOutRank: 1, cell: ({ resets_at }) => (resets_at === null ? "" : formatTime(resets_at)) },
    { header: "MODE", leaveOutRank: 3, cell: ({ mode }) => mode },
    { header: "POLICY", cell: ({ policy_name }) => policy_name },
    { header: "BOUND TO", leaveOutRank: 4, cell: (limit) => principalText(limit, keyId) },
  ];
}

function amountText({ unit }: LimitJson, amount: number): string {
  return unit === "micro_usd" ? formatUsd(amount) : String(amount);
}

function windowText({ unit, window, window_secs: secs }: LimitJson): string {
  if (unit === "micro_usd") return window === "total" ? "in total" : `per ${window ?? `${secs} s`}`;
  return unit === "concurrent" ? "at the same time" : `${unit} per ${secs} s`;
}

function principalText({ principal_type: type, principal_id: id }: LimitJson, keyId: string): string {
  if (id === keyId) return "this key";
  return type === "namespace" ? "the namespace" : id;
}
