import { judgeModel, type ResolvedModel } from "@routeplane/guardrails";
import { formatMicroUsd } from "../../output/money.ts";
import { formatTime } from "../../output/time.ts";
import { budgetWindowText } from "./budget-window.ts";
import type { EffectivePolicyView } from "./effective-policy.ts";

/** Request that is explained before it is sent. */
export interface ExplainedCall {
  readonly keyId: string;
  readonly model: ResolvedModel;
  readonly streamed: boolean;
  /** Output bound; undefined if it is not given. */
  readonly maxTokens: number | undefined;
  /** Minimum that is reserved for a request to the model; null if the node shows the credential in use no price. */
  readonly cheapestMicroUsd: number | null;
  /** False if the node lists models for the credential in use, and this is none of them. */
  readonly isListed: boolean;
}

/** Rule that would refuse the request, or only report it. */
export interface ObjectionView {
  readonly rule: string;
  readonly reason: string;
  readonly policy_id: string;
  readonly policy_name: string;
  readonly binding_id: string;
  readonly principal_type: string;
  readonly principal_id: string;
  /** `enforce`: it refuses; `shadow`: it only reports. */
  readonly mode: string;
  /** First moment at which a part of the limit is free again; null if waiting does not help. */
  readonly frees_up_at: string | null;
}

/** Budget that applies, and whether the cheapest request fits into it. */
export interface BudgetFitView extends Omit<ObjectionView, "rule" | "reason"> {
  /** Amount that requests can still use, slices of gateways included. */
  readonly remaining_micro_usd: number;
  /** Null if the cost of the cheapest request is not known. */
  readonly fits_cheapest_request: boolean | null;
}

export interface ExplainedCallView {
  readonly key_id: string;
  readonly model: string;
  readonly provider: string | null;
  readonly streamed: boolean;
  readonly max_tokens: number | null;
  /** True if one of the judged rules would refuse the request. */
  readonly refused: boolean;
  readonly objections: readonly ObjectionView[];
  /** Minimum that is reserved for a request to the model; null if the node shows the credential in use no price. */
  readonly cheapest_request_micro_usd: number | null;
  readonly budgets: readonly BudgetFitView[];
  /** Smallest amount left of an enforced budget, slices of gateways included; null if no budget is enforced. */
  readonly budget_remaining_micro_usd: number | null;
  /** Rules that apply but cannot be judged before the request, e.g. because they depend on its content. */
  readonly not_judged: readonly string[];
}

type Source = Omit<ObjectionView, "rule" | "reason" | "frees_up_at">;

export function explainedCall(effective: EffectivePolicyView, call: ExplainedCall): ExplainedCallView {
  const { keyId, model, streamed, maxTokens, cheapestMicroUsd } = call;
  const { guardrail, shadow_guardrail } = effective;
  const budgets = effective.budgets.map((budget) => budgetFit(budget, cheapestMicroUsd));
  const objections = [
    ...[guardrail, shadow_guardrail].flatMap((rules) => (rules === null ? [] : guardrailObjections(rules, call))),
    ...effective.budgets.flatMap((budget) => budgetObjections(budget, cheapestMicroUsd)),
    ...rateObjections(effective),
  ];
  const left = budgets.flatMap((budget) => (budget.mode === "enforce" ? [budget.remaining_micro_usd] : []));
  return {
    key_id: keyId,
    model: model.id,
    provider: model.provider || null,
    streamed,
    max_tokens: maxTokens ?? null,
    refused: objections.some(({ mode }) => mode === "enforce"),
    objections,
    cheapest_request_micro_usd: cheapestMicroUsd,
    budgets,
    budget_remaining_micro_usd: left.length === 0 ? null : Math.min(...left),
    not_judged: notJudged(effective, call),
  };
}

type EffectiveBudgetView = EffectivePolicyView["budgets"][number];

/** Amount of a budget that requests can still use: the unreserved part, and the slices that gateways admit requests from. */
function usableOf(budget: EffectiveBudgetView): number {
  return budget.remaining_micro_usd + budget.leased_micro_usd;
}

function budgetFit(budget: EffectiveBudgetView, cheapestMicroUsd: number | null): BudgetFitView {
  const usable = usableOf(budget);
  return {
    ...sourceOf(budget),
    frees_up_at: budget.frees_up_at,
    remaining_micro_usd: usable,
    fits_cheapest_request: cheapestMicroUsd === null ? null : cheapestMicroUsd <= usable,
  };
}

/** Objections of budgets into which no request to the model fits. A free model fits into every budget. */
function budgetObjections(budget: EffectiveBudgetView, cheapestMicroUsd: number | null): readonly ObjectionView[] {
  const usable = usableOf(budget);
  if (usable >= (cheapestMicroUsd ?? 1)) return [];
  const limit = `${formatMicroUsd(budget.limit_micro_usd)} ${budgetWindowText(budget)}`;
  const reason =
    usable <= 0 || cheapestMicroUsd === null
      ? `nothing is left of ${limit}`
      : `${formatMicroUsd(usable)} is left of ${limit}, and the cheapest request costs ${formatMicroUsd(cheapestMicroUsd)}`;
  return [objectionOf(budget, "budget", reason)];
}

function guardrailObjections(
  rules: NonNullable<EffectivePolicyView["guardrail"]>,
  { model, streamed, maxTokens }: ExplainedCall,
): readonly ObjectionView[] {
  const objections: ObjectionView[] = [];
  const object = (rule: string, reason: string, sources: readonly Source[]): void => {
    for (const source of sources) objections.push({ ...source, rule: `guardrail.${rule}`, reason, frees_up_at: null });
  };
  for (const { model: value, sources } of rules.model_deny) {
    const denied = judgeModel({ modelAllow: [], modelDeny: [{ value, sources: [] }] }, model) !== undefined;
    if (denied) object("model_deny", `denies ${value}`, sources);
  }
  for (const { models: value, sources } of rules.model_allow) {
    const missing = judgeModel({ modelAllow: [{ value, sources: [] }], modelDeny: [] }, model) !== undefined;
    if (missing) object("model_allow", `allows only ${value.join(", ") || "no model"}`, sources);
  }
  if (streamed && rules.allow_streaming !== null)
    object("allow_streaming", "allows no streams", rules.allow_streaming.sources);
  const cap = rules.max_request_tokens;
  if (cap !== null && maxTokens !== undefined && maxTokens > cap.tokens)
    object("max_request_tokens", `allows ${cap.tokens} tokens in one request`, cap.sources);
  return objections;
}

/** Objections of rate limits that are used up. */
function rateObjections({ rate_limits }: EffectivePolicyView): readonly ObjectionView[] {
  return rate_limits.flatMap((limit) => [
    ...(limit.max_requests !== null && limit.requests >= limit.max_requests
      ? [objectionOf(limit, "rate_limit.max_requests", `all ${limit.max_requests} requests of its window are used`)]
      : []),
    ...(limit.max_tokens !== null && limit.tokens >= limit.max_tokens
      ? [objectionOf(limit, "rate_limit.max_tokens", `all ${limit.max_tokens} tokens of its window are used`)]
      : []),
  ]);
}

function objectionOf(
  limit: Source & { readonly frees_up_at: string | null },
  rule: string,
  reason: string,
): ObjectionView {
  return { rule, reason, ...sourceOf(limit), frees_up_at: limit.frees_up_at };
}

function sourceOf({ policy_id, policy_name, binding_id, principal_type, principal_id, mode }: Source): Source {
  return { policy_id, policy_name, binding_id, principal_type, principal_id, mode };
}

function notJudged(
  { guardrail, budgets, rate_limits }: EffectivePolicyView,
  { cheapestMicroUsd, isListed }: ExplainedCall,
): readonly string[] {
  const cost =
    cheapestMicroUsd === null
      ? "the cost of the request, because its price is not known"
      : "what the request costs beyond the cheapest one";
  return [
    ...(isListed ? [] : ["whether the model exists, because it is not listed for the key in use"]),
    ...(guardrail !== null && guardrail.content_patterns.length > 0 ? ["guardrail.content_patterns"] : []),
    ...(budgets.length > 0 ? [cost] : []),
    ...(rate_limits.some(({ max_concurrent }) => max_concurrent !== null) ? ["rate_limit.max_concurrent"] : []),
  ];
}

type Field = readonly [string, string];

/** Fields of an explanation: the decision first. */
export function explainedCallFields(view: ExplainedCallView): readonly Field[] {
  const { refused, objections, cheapest_request_micro_usd: cheapest, budgets, not_judged } = view;
  return [
    ["decision", refused ? "refused" : "not refused, as far as it can be judged"],
    ["key", view.key_id],
    ["model", [view.provider, view.model].filter((part) => part !== null).join("/")],
    ...objections.map((objection): Field => [
      objection.mode === "enforce" ? "refused by" : "reported by",
      objectionText(objection),
    ]),
    ...(cheapest === null ? [] : [["cheapest request", formatMicroUsd(cheapest)] as const]),
    ...budgets.map((budget): Field => ["budget", budgetText(budget)]),
    ...not_judged.map((rule): Field => ["not judged", rule]),
  ];
}

/** Text of a budget, e.g. "daily-cap on the namespace: 40 micro-USD ($0.00004) left, the cheapest request fits". */
function budgetText({
  policy_name,
  remaining_micro_usd,
  fits_cheapest_request: fits,
  ...place
}: BudgetFitView): string {
  const fit = fits === null ? "" : `, the cheapest request ${fits ? "fits" : "does not fit"}`;
  return `${policy_name} on ${placeOf(place)}: ${formatMicroUsd(remaining_micro_usd)} left${fit}`;
}

function objectionText({ rule, reason, policy_name, frees_up_at, ...place }: ObjectionView): string {
  const when = frees_up_at === null ? "" : `; a part is free again at ${formatTime(frees_up_at)}`;
  return `${rule} of ${policy_name} on ${placeOf(place)}: ${reason}${when}`;
}

function placeOf({ principal_type, principal_id }: Pick<Source, "principal_type" | "principal_id">): string {
  return principal_type === "namespace" ? "the namespace" : principal_id;
}
