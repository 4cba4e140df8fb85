import type { BudgetWindow } from "@routeplane/admission";
import type { GuardrailSpec } from "@routeplane/guardrails/spec";

export const POLICY_KINDS = ["guardrail", "rate_limit", "budget", "preset"] as const;

export type PolicyKind = (typeof POLICY_KINDS)[number];

/** Largest amount or count of a spec: exact in every JSON reader. */
export const MAX_SPEC_INTEGER = 9_000_000_000_000_000;
/** Longest window of a rate limit: 30 days. */
export const MAX_WINDOW_SECS = 2_592_000;
/** Largest `maxConcurrent` of a rate limit. */
export const MAX_CONCURRENT = 100_000;

/** Limit that settled and reserved amounts together never exceed within the window. */
export interface BudgetSpec {
  readonly window: BudgetWindow;
  /** IANA name of the time zone of a calendar window; undefined for another window. */
  readonly timeZone?: string;
  /** > 0. */
  readonly limitMicroUsd: bigint;
}

/** Maxima within a sliding window. At least one is set; each > 0. */
export interface RateLimitSpec {
  readonly windowSecs: number;
  readonly maxRequests?: bigint;
  readonly maxTokens?: bigint;
  readonly maxConcurrent?: bigint;
}

/** Combination of the other kinds. At least one part is set. */
export interface PresetSpec {
  readonly guardrail?: GuardrailSpec;
  readonly rateLimit?: RateLimitSpec;
  readonly budget?: BudgetSpec;
}

/** Settings of a policy, one arm for each kind. */
export type PolicySpec =
  | ({ readonly kind: "guardrail" } & GuardrailSpec)
  | ({ readonly kind: "rate_limit" } & RateLimitSpec)
  | ({ readonly kind: "budget" } & BudgetSpec)
  | ({ readonly kind: "preset" } & PresetSpec);

export type SpecOf<Kind extends PolicyKind> = Extract<PolicySpec, { readonly kind: Kind }>;

/** Guardrail of a spec, that of a preset included. */
export function guardrailOf(spec: PolicySpec): GuardrailSpec | undefined {
  if (spec.kind === "guardrail") return spec;
  return spec.kind === "preset" ? spec.guardrail : undefined;
}

/** Budget of a spec, that of a preset included. */
export function budgetOf(spec: PolicySpec): BudgetSpec | undefined {
  if (spec.kind === "budget") return spec;
  return spec.kind === "preset" ? spec.budget : undefined;
}

/** Rate limit of a spec, that of a preset included. */
export function rateLimitOf(spec: PolicySpec): RateLimitSpec | undefined {
  if (spec.kind === "rate_limit") return spec;
  return spec.kind === "preset" ? spec.rateLimit : undefined;
}
