import {
  type BudgetSpec,
  type PolicySpec,
  type PresetSpec,
  type RateLimitSpec,
  type SpecOf,
} from "@routeplane/policy-spec";
import { formatCount, formatUsd } from "../../format/money.ts";

/** One rule of a spec in words. */
export interface SpecLine {
  readonly rule: string;
  readonly value: string;
}

type Guardrail = NonNullable<PresetSpec["guardrail"]>;

/** Texts of budget windows, to follow an amount. */
export const WINDOW_TEXTS: Readonly<Record<BudgetSpec["window"], string>> = {
  hour: "in any 60 minutes",
  day: "in any 24 hours",
  week: "in any 7 days",
  month: "in any 30 days",
  total: "in total",
  calendar_day: "in a calendar day",
  calendar_month: "in a calendar month",
};

/** Every rule of a spec, one line each. */
export function specLines(spec: PolicySpec): readonly SpecLine[] {
  switch (spec.kind) {
    case "budget":
      return [budgetLine(spec)];
    case "rate_limit":
      return rateLimitLines(spec);
    case "guardrail":
      return guardrailLines(spec);
    case "preset":
      return presetLines(spec);
  }
}

/** Summary of a spec on one line, for a table. */
export function specSummary(spec: PolicySpec): string {
  const lines = specLines(spec);
  const shown = lines.slice(0, 3).map(({ rule, value }) => `${rule}: ${cut(value)}`);
  return [...shown, ...(lines.length > 3 ? [`and ${lines.length - 3} more`] : [])].join("; ");
}

function presetLines({ budget, rateLimit, guardrail }: SpecOf<"preset">): readonly SpecLine[] {
  return [
    ...(budget === undefined ? [] : [budgetLine(budget)]),
    ...(rateLimit === undefined ? [] : rateLimitLines(rateLimit)),
    ...(guardrail === undefined ? [] : guardrailLines(guardrail)),
  ];
}

function budgetLine({ limitMicroUsd, window, timeZone }: BudgetSpec): SpecLine {
  const within = timeZone === undefined ? WINDOW_TEXTS[window] : `${WINDOW_TEXTS[window]}, ${timeZone}`;
  return { rule: "Spend", value: `${formatUsd(limitMicroUsd)} ${within}` };
}

function rateLimitLines({ windowSecs, maxRequests, maxTokens, maxConcurrent }: RateLimitSpec): readonly SpecLine[] {
  const per = windowText(windowSecs);
  return [
    ...(maxRequests === undefined ? [] : [{ rule: "Requests", value: `${formatCount(maxRequests)} ${per}` }]),
    ...(maxTokens === undefined ? [] : [{ rule: "Tokens", value: `${formatCount(maxTokens)} ${per}` }]),
    ...(maxConcurrent === undefined ? [] : [{ rule: "At the same time", value: formatCount(maxConcurrent) }]),
  ];
}

function guardrailLines(guardrail: Guardrail): readonly SpecLine[] {
  const { modelAllow, modelDeny, maxRequestTokens, allowStreaming, contentPatterns = [], uninspectable } = guardrail;
  const { serviceTierAllow, modalityAllow, hostedToolAllow } = guardrail;
  const only = (rule: string, names: readonly string[] | undefined): readonly SpecLine[] =>
    names === undefined ? [] : [{ rule, value: names.length === 0 ? "none" : names.join(", ") }];
  return [
    ...only("Only models", modelAllow),
    ...(modelDeny === undefined || modelDeny.length === 0 ? [] : only("No models", modelDeny)),
    ...(maxRequestTokens === undefined
      ? []
      : [{ rule: "Tokens of one request", value: `at most ${formatCount(maxRequestTokens)}` }]),
    ...(allowStreaming === undefined ? [] : [{ rule: "Streams", value: allowStreaming ? "allowed" : "refused" }]),
    ...contentPatterns.map(({ name, pattern, action, appliesTo }) => ({
      rule: `${action === "block" ? "Blocks" : "Redacts"} ${TARGET_TEXTS[appliesTo]}`,
      value: `${name}: ${pattern}`,
    })),
    ...(uninspectable === undefined
      ? []
      : [{ rule: "Content that cannot be inspected", value: uninspectable === "block" ? "refused" : "passes" }]),
    ...only("Only service tiers", serviceTierAllow),
    ...only("Only output", modalityAllow),
    ...only("Only hosted tools", hostedToolAllow),
  ];
}

const TARGET_TEXTS = {
  request: "in requests",
  response: "in answers",
  both: "in requests and answers",
} as const;

const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
] as const;

/** Text of a sliding window, to follow a number, in its largest whole unit: `in any minute` for 60 seconds; 90 seconds stay seconds. */
export function windowText(seconds: number): string {
  const [unit, length] = UNITS.find(([, length]) => seconds % length === 0) ?? ["second", 1];
  return seconds === length ? `in any ${unit}` : `in any ${formatCount(seconds / length)} ${unit}s`;
}

function cut(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 59)}…`;
}
