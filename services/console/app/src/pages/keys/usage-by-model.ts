import type { UsageGroup } from "@routeplane/contracts/usage";
import { restCountOf } from "../../components/chart/usage-series.ts";

type Amounts = Pick<UsageGroup, "requestCount" | "deniedCount" | "promptTokens" | "completionTokens" | "spendMicroUsd">;

/** Usage of a model in the whole of a range. */
export interface ModelUsage extends Amounts {
  /** Undefined: all models that were not read apart. */
  readonly model: string | undefined;
  /** Number of models. */
  readonly count: number;
}

/** Adds groups by model and time up to groups by model, the dearest first and the rest last. */
export function usageByModel(groups: readonly UsageGroup[]): readonly ModelUsage[] {
  return [...Map.groupBy(groups, ({ model, restCount }) => (restCount > 0n ? undefined : model))]
    .map(([model, parts]) => ({
      model,
      count: model === undefined ? restCountOf(parts) : 1,
      requestCount: total(parts, "requestCount"),
      deniedCount: total(parts, "deniedCount"),
      promptTokens: total(parts, "promptTokens"),
      completionTokens: total(parts, "completionTokens"),
      spendMicroUsd: total(parts, "spendMicroUsd"),
    }))
    .toSorted((left, right) => {
      if ((left.model === undefined) !== (right.model === undefined)) return left.model === undefined ? 1 : -1;
      return left.spendMicroUsd < right.spendMicroUsd ? 1 : -1;
    });
}

function total(groups: readonly UsageGroup[], field: keyof Amounts): bigint {
  return groups.reduce((sum, group) => sum + group[field], 0n);
}
