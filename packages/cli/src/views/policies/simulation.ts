import type { SimulatePolicyResponse } from "@routeplane/contracts/policy";
import { formatCount, formatUsd } from "../../output/money.ts";
import type { Style } from "../../output/style.ts";
import { block, type Column, table } from "../../output/table.ts";
import { formatTime } from "../../output/time.ts";
import { fromProtoInteger, fromProtoRequiredTime } from "../values.ts";

export type SimulationView = ReturnType<typeof fromProtoSimulation>;
type KeyView = SimulationView["by_key"][number];
type RuleView = SimulationView["by_rule"][number];

export function fromProtoSimulation(simulation: SimulatePolicyResponse) {
  const { byKey, byRule } = simulation;
  return {
    from: fromProtoRequiredTime(simulation.from),
    to: fromProtoRequiredTime(simulation.to),
    truncated: simulation.truncated,
    request_count: fromProtoInteger(simulation.requestCount),
    spend_micro_usd: fromProtoInteger(simulation.spendMicroUsd),
    refused_count: fromProtoInteger(simulation.refusedCount),
    refused_spend_micro_usd: fromProtoInteger(simulation.refusedSpendMicroUsd),
    by_key: byKey.map(({ keyId, requestCount, refusedCount, refusedSpendMicroUsd }) => ({
      key_id: keyId,
      request_count: fromProtoInteger(requestCount),
      refused_count: fromProtoInteger(refusedCount),
      refused_spend_micro_usd: fromProtoInteger(refusedSpendMicroUsd),
    })),
    by_rule: byRule.map(({ rule, refusedCount }) => ({ rule, refused_count: fromProtoInteger(refusedCount) })),
    not_simulated: simulation.notSimulated,
  };
}

const KEY_COLUMNS: readonly Column<KeyView>[] = [
  { header: "KEY", cell: ({ key_id }) => key_id },
  { header: "REQUESTS", cell: ({ request_count }) => formatCount(request_count), right: true },
  { header: "REFUSED", cell: ({ refused_count }) => formatCount(refused_count), right: true },
  {
    header: "REFUSED SPEND",
    cell: ({ refused_spend_micro_usd }) => formatUsd(refused_spend_micro_usd),
    right: "point",
  },
];

const RULE_COLUMNS: readonly Column<RuleView>[] = [
  { header: "RULE", cell: ({ rule }) => rule },
  { header: "REFUSED", cell: ({ refused_count }) => formatCount(refused_count), right: true },
];

/** Text for people: the totals and, if requests would be refused, tables by rule and by key. */
export function simulationText(view: SimulationView, style: Style): string {
  const { request_count: requests, refused_count: refused, by_key, by_rule, not_simulated } = view;
  const share = requests === 0 ? "" : ` (${((100 * refused) / requests).toFixed(1)}%)`;
  const totals = block([
    ["from", `${formatTime(view.from)}${view.truncated ? " (there are more requests than were simulated)" : ""}`],
    ["to", formatTime(view.to)],
    ["requests", `${requests}, ${formatUsd(view.spend_micro_usd)}`],
    ["refused", `${refused}${share}, ${formatUsd(view.refused_spend_micro_usd)}`],
    ...(not_simulated.length === 0 ? [] : [["not simulated", not_simulated.join(", ")] as const]),
  ]);
  if (refused === 0) return totals;
  const refusedKeys = by_key.filter(({ refused_count }) => refused_count > 0);
  return [totals, table(RULE_COLUMNS, by_rule, style), table(KEY_COLUMNS, refusedKeys, style)].join("\n\n");
}
