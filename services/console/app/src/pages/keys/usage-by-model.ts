import type { UsageGroup } from "@routeplane/contracts/usage";

/** Usage of a model over a whole range. */
export type ModelUsage = Pick<
  UsageGroup,
  "model" | "requestCount" | "deniedCount" | "promptTokens" | "completionTokens" | "spendMicroUsd"
>;

/** Adds up groups by model and time to groups by model, the most expensive first. */
export function usageByModel(groups: readonly UsageGroup[]): readonly ModelUsage[] {
  return [...Map.groupBy(groups, ({ model }) => model)]
    .map(([model, parts]) => ({
      model,
      requestCount: total(parts, "requestCount"),
      deniedCount: total(parts, "deniedCount"),
      promptTokens: total(parts, "promptTokens"),
      completionTokens: total(parts, "completionTokens"),
      spendMicroUsd: total(parts, "spendMicroUsd"),
    }))
    .toSorted((left, right) => (left.spendMicroUsd < right.spendMicroUsd ? 1 : -1));
}

function total(groups: readonly UsageGroup[], field: Exclude<keyof ModelUsage, "model">): bigint {
  return groups.reduce((sum, group) => sum + group[field], 0n);
}
