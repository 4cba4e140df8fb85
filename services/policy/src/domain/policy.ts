import type { BudgetWindow } from "@routeplane/admission";
import { type Id, newId } from "@routeplane/domain";
import { requireSound } from "./spec-rules.ts";

export const POLICY_KINDS = ["guardrail", "rate_limit", "budget", "preset"] as const;

export type PolicyKind = (typeof POLICY_KINDS)[number];

/** Settled and reserved together never exceed the limit within the window. */
export interface BudgetSpec {
  readonly window: BudgetWindow;
  /** > 0. */
  readonly limitMicroUsd: bigint;
}

/** At least one of the maxima; each > 0. */
export interface RateLimitSpec {
  readonly windowSecs: number;
  readonly maxRequests?: bigint;
  readonly maxTokens?: bigint;
  readonly maxConcurrent?: bigint;
}

export interface ContentPattern {
  readonly name: string;
  /** RE2 dialect. */
  readonly pattern: string;
  readonly action: "block" | "redact";
  readonly appliesTo: "request" | "response" | "both";
}

/** At least one rule. An empty allow-list allows nothing; an absent one everything. */
export interface GuardrailSpec {
  readonly modelAllow?: readonly string[];
  readonly modelDeny?: readonly string[];
  readonly maxRequestTokens?: number;
  readonly allowStreaming?: boolean;
  readonly contentPatterns?: readonly ContentPattern[];
}

/** At least one part. */
export interface PresetSpec {
  readonly guardrail?: GuardrailSpec;
  readonly rateLimit?: RateLimitSpec;
  readonly budget?: BudgetSpec;
}

/** What a policy says; one arm for each kind. */
export type PolicySpec =
  | ({ readonly kind: "guardrail" } & GuardrailSpec)
  | ({ readonly kind: "rate_limit" } & RateLimitSpec)
  | ({ readonly kind: "budget" } & BudgetSpec)
  | ({ readonly kind: "preset" } & PresetSpec);

export interface Policy {
  readonly id: Id<"pol">;
  readonly namespaceId: Id<"ns">;
  readonly name: string;
  readonly spec: PolicySpec;
  readonly createdAt: Date;
  /** Since when it is switched off. */
  readonly disabledAt: Date | undefined;
  /** Of name and spec: from 1, one more with every update. */
  readonly version: bigint;
}

/** What a policy is bound to: a namespace means every key in it, a key means itself and every key below it. */
export type BoundPrincipal =
  | { readonly type: "namespace"; readonly id: Id<"ns"> }
  | { readonly type: "api_key"; readonly id: Id<"key"> };

/** Whether what breaks the policy is refused, or let through and logged. */
export type BindingMode = "enforce" | "shadow";

export interface Binding {
  readonly id: Id<"bnd">;
  readonly namespaceId: Id<"ns">;
  readonly policyId: Id<"pol">;
  readonly principal: BoundPrincipal;
  readonly mode: BindingMode;
  readonly createdAt: Date;
}

/** Opaque to callers. It changes with the policy's name and spec, and with nothing else. */
export function etagOf({ version }: Policy): string {
  return `v${version}`;
}

/** @throws DomainError INVALID_ARGUMENT for a spec that breaks a rule */
export function newPolicy(namespaceId: Id<"ns">, name: string, spec: PolicySpec, now: number): Policy {
  const [createdAt, disabledAt] = [new Date(now), undefined];
  return { id: newId("pol"), namespaceId, name, spec: requireSound(spec), createdAt, disabledAt, version: 1n };
}
