import {
  type BudgetSpec,
  isCalendarWindow,
  type PolicyKind,
  type PolicySpec,
  type PresetSpec,
  type RateLimitSpec,
} from "@routeplane/policy-spec";
import { browserTimeZone } from "../../../format/use-time-zone.ts";
import { parseCount, parseUsd, toUsdText } from "../../../format/parse-amount.ts";

type GuardrailSpec = NonNullable<PresetSpec["guardrail"]>;
type ContentPattern = NonNullable<GuardrailSpec["contentPatterns"]>[number];

/** Typed fields of a budget. */
export interface BudgetDraft {
  readonly limitUsd: string;
  readonly window: BudgetSpec["window"];
  /** Time zone of a calendar window; kept while another window is chosen. */
  readonly timeZone: string;
}

/** Typed fields of a rate limit; an empty maximum sets none. */
export interface RateLimitDraft {
  readonly windowCount: string;
  readonly windowUnit: keyof typeof WINDOW_UNITS;
  readonly maxRequests: string;
  readonly maxTokens: string;
  readonly maxConcurrent: string;
}

/** Typed fields of a content pattern. */
export interface PatternDraft extends ContentPattern {
  /** Identifies the row in the form; not part of the spec. */
  readonly row: number;
}

/** Typed fields of a guardrail. A list that is undefined allows all; an empty list allows none. */
export interface GuardrailDraft {
  /** Models, one per line. */
  readonly modelAllow: string | undefined;
  /** Models, one per line; empty: no model is denied. */
  readonly modelDeny: string;
  readonly maxRequestTokens: string;
  readonly allowStreaming: boolean | undefined;
  readonly contentPatterns: readonly PatternDraft[];
  readonly uninspectable: GuardrailSpec["uninspectable"];
  readonly serviceTierAllow: readonly string[] | undefined;
  readonly modalityAllow: readonly string[] | undefined;
  readonly hostedToolAllow: readonly string[] | undefined;
}

/** Typed fields of a policy. The fields of all kinds are kept, so that changing the kind and back loses nothing. */
export interface PolicyDraft {
  readonly name: string;
  readonly kind: PolicyKind;
  readonly budget: BudgetDraft;
  readonly rateLimit: RateLimitDraft;
  readonly guardrail: GuardrailDraft;
  /** Parts that the preset contains. */
  readonly parts: Readonly<Record<"budget" | "rateLimit" | "guardrail", boolean>>;
}

/** Units of a window, in seconds. */
export const WINDOW_UNITS = { second: 1, minute: 60, hour: 3_600, day: 86_400 } as const;

const NEW_BUDGET: BudgetDraft = { limitUsd: "", window: "month", timeZone: browserTimeZone() };
const NEW_RATE_LIMIT: RateLimitDraft = {
  windowCount: "1",
  windowUnit: "minute",
  maxRequests: "",
  maxTokens: "",
  maxConcurrent: "",
};
const NEW_GUARDRAIL: GuardrailDraft = {
  modelAllow: undefined,
  modelDeny: "",
  maxRequestTokens: "",
  allowStreaming: undefined,
  contentPatterns: [],
  uninspectable: undefined,
  serviceTierAllow: undefined,
  modalityAllow: undefined,
  hostedToolAllow: undefined,
};

/** Draft of a new policy. */
export function newDraft(kind: PolicyKind): PolicyDraft {
  return {
    name: "",
    kind,
    budget: NEW_BUDGET,
    rateLimit: NEW_RATE_LIMIT,
    guardrail: NEW_GUARDRAIL,
    parts: { budget: true, rateLimit: true, guardrail: false },
  };
}

/** Draft of an existing policy, or of a spec that was written as JSON. */
export function draftOf(name: string, spec: PolicySpec): PolicyDraft {
  const draft = { ...newDraft(spec.kind), name };
  switch (spec.kind) {
    case "budget":
      return { ...draft, budget: budgetDraft(spec) };
    case "rate_limit":
      return { ...draft, rateLimit: rateLimitDraft(spec) };
    case "guardrail":
      return { ...draft, guardrail: guardrailDraft(spec) };
    case "preset": {
      const { budget, rateLimit, guardrail } = spec;
      return {
        ...draft,
        ...(budget && { budget: budgetDraft(budget) }),
        ...(rateLimit && { rateLimit: rateLimitDraft(rateLimit) }),
        ...(guardrail && { guardrail: guardrailDraft(guardrail) }),
        parts: {
          budget: budget !== undefined,
          rateLimit: rateLimit !== undefined,
          guardrail: guardrail !== undefined,
        },
      };
    }
  }
}

/** Converts a draft to the JSON of its spec, to be validated. A text that is not a number stays a text, and is then a fault. */
export function toDraftJson({ kind, budget, rateLimit, guardrail, parts }: PolicyDraft): object {
  switch (kind) {
    case "budget":
      return toBudgetJson(budget);
    case "rate_limit":
      return toRateLimitJson(rateLimit);
    case "guardrail":
      return toGuardrailJson(guardrail);
    case "preset":
      return {
        ...(parts.budget && { budget: toBudgetJson(budget) }),
        ...(parts.rateLimit && { rate_limit: toRateLimitJson(rateLimit) }),
        ...(parts.guardrail && { guardrail: toGuardrailJson(guardrail) }),
      };
  }
}

function toBudgetJson({ limitUsd, window, timeZone }: BudgetDraft) {
  const micro = parseUsd(limitUsd);
  return {
    window,
    ...(isCalendarWindow(window) && { time_zone: timeZone.trim() }),
    limit_micro_usd: micro === undefined ? limitUsd : Number(micro),
  };
}

function toRateLimitJson({ windowCount, windowUnit, maxRequests, maxTokens, maxConcurrent }: RateLimitDraft) {
  const count = integerOf(windowCount);
  return {
    window_secs: typeof count === "number" ? count * WINDOW_UNITS[windowUnit] : (count ?? ""),
    ...present("max_requests", integerOf(maxRequests)),
    ...present("max_tokens", integerOf(maxTokens)),
    ...present("max_concurrent", integerOf(maxConcurrent)),
  };
}

function toGuardrailJson(draft: GuardrailDraft) {
  const { modelAllow, modelDeny, contentPatterns } = draft;
  const patterns = contentPatterns.map(({ name, pattern, action, appliesTo }) => {
    return { name, pattern, action, applies_to: appliesTo };
  });
  const denied = linesOf(modelDeny);
  return {
    ...present("model_allow", modelAllow === undefined ? undefined : linesOf(modelAllow)),
    ...present("model_deny", denied.length === 0 ? undefined : denied),
    ...present("max_request_tokens", integerOf(draft.maxRequestTokens)),
    ...present("allow_streaming", draft.allowStreaming),
    ...present("content_patterns", patterns.length === 0 ? undefined : patterns),
    ...present("uninspectable", draft.uninspectable),
    ...present("service_tier_allow", draft.serviceTierAllow),
    ...present("modality_allow", draft.modalityAllow),
    ...present("hosted_tool_allow", draft.hostedToolAllow),
  };
}

function budgetDraft({ limitMicroUsd, window, timeZone = NEW_BUDGET.timeZone }: BudgetSpec): BudgetDraft {
  return { limitUsd: toUsdText(limitMicroUsd), window, timeZone };
}

function rateLimitDraft({ windowSecs, maxRequests, maxTokens, maxConcurrent }: RateLimitSpec): RateLimitDraft {
  const units = ["day", "hour", "minute"] as const;
  const windowUnit = units.find((unit) => windowSecs % WINDOW_UNITS[unit] === 0) ?? "second";
  return {
    windowCount: String(windowSecs / WINDOW_UNITS[windowUnit]),
    windowUnit,
    maxRequests: maxRequests?.toString() ?? "",
    maxTokens: maxTokens?.toString() ?? "",
    maxConcurrent: maxConcurrent?.toString() ?? "",
  };
}

function guardrailDraft(spec: GuardrailSpec): GuardrailDraft {
  return {
    modelAllow: spec.modelAllow?.join("\n"),
    modelDeny: spec.modelDeny?.join("\n") ?? "",
    maxRequestTokens: spec.maxRequestTokens?.toString() ?? "",
    allowStreaming: spec.allowStreaming,
    contentPatterns: spec.contentPatterns?.map((pattern, row) => ({ ...pattern, row })) ?? [],
    uninspectable: spec.uninspectable,
    serviceTierAllow: spec.serviceTierAllow,
    modalityAllow: spec.modalityAllow,
    hostedToolAllow: spec.hostedToolAllow,
  };
}

/** Parses a text of digits; undefined for an empty text. Any other text is returned as it is, and is then a fault. */
function integerOf(text: string): number | string | undefined {
  if (text.trim() === "") return undefined;
  const count = parseCount(text);
  return count === undefined ? text : Number(count);
}

function linesOf(text: string): readonly string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

function present(name: string, value: unknown): object {
  return value === undefined ? {} : { [name]: value };
}
