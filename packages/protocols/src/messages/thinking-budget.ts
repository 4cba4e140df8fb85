import type { TranslationTarget } from "../codec.ts";
import type { JsonObject } from "../json.ts";
import type { Reasoning, ReasoningEffort } from "../model.ts";

/** Matches models that accept a token budget for thinking, but no effort. Later models accept the effort. */
const TAKES_BUDGET = /claude-(?:3|(?:opus|sonnet|haiku)-4(?:-[0-5])?(?=$|@|:|-\d{8}|-v\d|-latest))/;

/** Tokens of thinking by effort, for models that accept a budget. */
const BUDGETS: Readonly<Record<Exclude<ReasoningEffort, "none">, number>> = {
  minimal: 1_024,
  low: 2_048,
  medium: 8_192,
  high: 16_384,
  xhigh: 32_768,
  max: 32_768,
};
/** Minimum budget that the messages wire allows. */
const MIN_BUDGET = 1_024;

/** Members of a request that control the reasoning of a messages upstream. */
interface Thinking {
  readonly thinking?: JsonObject;
  readonly effort?: string;
}

/** Chooses how to ask for reasoning. @returns undefined if the output bound leaves no room for it */
export function thinkingOf(
  { effort, budgetTokens, isEnabled }: Reasoning,
  target: TranslationTarget,
): Thinking | undefined {
  if (isEnabled === false || effort === "none") return { thinking: { type: "disabled" } };
  if (!TAKES_BUDGET.test(target.model)) {
    const known = effort === "minimal" ? "low" : effort;
    return { thinking: { type: "adaptive" }, ...(known !== undefined && { effort: known }) };
  }
  const wanted = budgetTokens ?? BUDGETS[effort ?? "medium"];
  // The bound includes the answer, so half of it is left for that.
  const budget = Math.max(MIN_BUDGET, Math.min(wanted, Math.floor(target.outputTokensMax / 2)));
  if (budget >= target.outputTokensMax) return undefined;
  return { thinking: { type: "enabled", budget_tokens: budget } };
}
