import { type Clock, DomainError, type Id, newId, notFound } from "@routeplane/domain";
import {
  type BudgetSpec,
  budgetOf,
  guardrailOf,
  type PolicySpec,
  rateLimitOf,
  type SpecOf,
} from "@routeplane/policy-spec";
import { onBehalfOf } from "@routeplane/runtime";
import type { Applied } from "../effective/applied-policy.ts";
import type { AppliedPolicies, MintDirectory, PolicyStore } from "../ports.ts";
import { newPolicy } from "./policy.ts";
import { type GuardrailInRequest, type RequireValidSpec } from "./spec-rules.ts";

/** Credential that mints a key, or session that acts as it. */
export interface Minter {
  readonly id: Id<"key"> | Id<"op"> | Id<"ses">;
  /** Key ids from the root key down to the minting key; empty for an operator. */
  readonly lineage: readonly Id<"key">[];
}

/** Limits that a key is to be minted with. */
export interface MintedLimits {
  readonly namespaceId: Id<"ns">;
  readonly keyId: Id<"key">;
  readonly spec: SpecOf<"preset">;
  /** Guardrail of the spec, to be validated. */
  readonly guardrail: GuardrailInRequest | undefined;
}

/**
 * Stores the limits of a key that is being minted, bound to it, and resolves to their policy. It can only create a preset bound to that one
 * key, which does not exist yet, whatever scopes the minter holds: such a binding only narrows.
 *
 * @throws DomainError NOT_FOUND unless the minter itself is minting the key; PERMISSION_DENIED for a limit above one of the same
 *   window that applies already; INVALID_ARGUMENT, RESOURCE_EXHAUSTED
 */
export type BindMintedLimits = (minter: Minter, limits: MintedLimits) => Promise<Id<"pol">>;

export interface BindMintedLimitsDependencies {
  readonly policies: PolicyStore;
  readonly applied: AppliedPolicies;
  readonly mints: MintDirectory;
  readonly requireValidSpec: RequireValidSpec;
  readonly clock: Clock;
}

export function createBindMintedLimits({
  policies,
  applied,
  mints,
  requireValidSpec,
  clock,
}: BindMintedLimitsDependencies): BindMintedLimits {
  return async (minter, { namespaceId, keyId, spec, guardrail }) => {
    const mint = await mints.find(namespaceId, keyId);
    if (mint === undefined || mint.origin.actorId !== minter.id) throw notFound();
    const instructions = await requireValidSpec(namespaceId, guardrail);
    requireWithinApplied(spec, await applied.of(namespaceId, mint.lineage.slice(0, -1)));
    const creator = { namespaceId, lineage: minter.lineage };
    const createdAt = new Date(clock());
    const drafted = newPolicy(creator, { name: `limits of ${keyId}`, spec }, instructions, createdAt);
    const policy = { ...drafted, mintedFor: mint.lineage };
    const binding = {
      id: newId("bnd"),
      namespaceId,
      policyId: policy.id,
      principal: { type: "api_key", id: keyId },
      mode: "enforce",
      createdAt,
      creatorLineage: minter.lineage,
      principalLineage: mint.lineage,
    } as const;
    await onBehalfOf(mint.origin, () => policies.add(policy, [binding]));
    return policy.id;
  };
}

/** One maximum of a spec, comparable with those of the same `kind` in others. */
interface Maximum {
  /** Field and window, e.g. `budget.limit_micro_usd day`. */
  readonly kind: string;
  /** Path of the field within a preset. */
  readonly field: string;
  readonly value: bigint;
}

/**
 * Requires that no maximum of `spec` is above one of the same kind that applies. Maxima of other kinds are not compared: all policies apply
 * together, so that none can widen another.
 *
 * @throws DomainError PERMISSION_DENIED that names the field and the lowest maximum that applies
 */
export function requireWithinApplied(spec: SpecOf<"preset">, applied: readonly Applied<PolicySpec>[]): void {
  const enforced = applied.filter(({ mode }) => mode === "enforce");
  const existing = enforced.flatMap((policy) => maximaOf(policy.spec).map((maximum) => ({ maximum, policy })));
  for (const { kind, field, value } of maximaOf(spec)) {
    const [lowest] = existing
      .filter(({ maximum }) => maximum.kind === kind && maximum.value < value)
      .toSorted((left, right) => (left.maximum.value < right.maximum.value ? -1 : 1));
    if (lowest === undefined) continue;
    const { policyId, policyName } = lowest.policy;
    const limit = String(lowest.maximum.value);
    const rule = `must not be above ${limit}, which the policy ${JSON.stringify(policyName)} (${policyId}) allows above this key`;
    throw new DomainError("permission_denied", "LIMIT_EXCEEDS_PARENT", `limits.${field}: ${rule}`, {
      fields: [{ field: `limits.${field}`, rule }],
      metadata: { limit, policy_id: policyId },
    });
  }
}

/** Window and time zone; the name of a zone is compared in lower case. */
function windowOf({ window, timeZone = "" }: BudgetSpec): string {
  return `${window} ${timeZone.toLowerCase()}`;
}

function maximaOf(spec: PolicySpec): readonly Maximum[] {
  const maximum = (field: string, value: bigint | number | undefined, window: string | number = ""): Maximum[] =>
    value === undefined ? [] : [{ kind: `${field} ${window}`, field, value: BigInt(value) }];
  const [budget, rateLimit] = [budgetOf(spec), rateLimitOf(spec)];
  return [
    ...maximum("budget.limit_micro_usd", budget?.limitMicroUsd, budget && windowOf(budget)),
    ...maximum("rate_limit.max_requests", rateLimit?.maxRequests, rateLimit?.windowSecs),
    ...maximum("rate_limit.max_tokens", rateLimit?.maxTokens, rateLimit?.windowSecs),
    ...maximum("rate_limit.max_concurrent", rateLimit?.maxConcurrent),
    ...maximum("guardrail.max_request_tokens", guardrailOf(spec)?.maxRequestTokens),
  ];
}
