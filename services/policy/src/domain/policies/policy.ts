import { DomainError, type Id, invalidField, newId } from "@routeplane/domain";
import { guardrailOf, type PolicySpec } from "@routeplane/policy-spec";
import { type GuardrailInRequest, requireNonEmptySpec } from "./spec-rules.ts";

export interface Policy {
  readonly id: Id<"pol">;
  readonly namespaceId: Id<"ns">;
  readonly name: string;
  readonly spec: PolicySpec;
  readonly createdAt: Date;
  /** Moment from which the policy is disabled; undefined while enabled. */
  readonly disabledAt: Date | undefined;
  /** Version of name and spec: 1 at creation, one more with every update. */
  readonly version: bigint;
  /** Key ids from the root key down to the key that created the policy; empty if that is not recorded. */
  readonly creatorLineage: readonly Id<"key">[];
  /** Key ids from the root key down to the key that was minted with the policy as its limits; undefined for any other policy. */
  readonly mintedFor: readonly Id<"key">[] | undefined;
  /** Instructions that the content patterns of its guardrail compile to; undefined if that is not recorded. */
  readonly patternInstructions: number | undefined;
}

/** Principal of a binding: a namespace stands for every key in it, a key for itself and every key below it. */
export type BoundPrincipal =
  | { readonly type: "namespace"; readonly id: Id<"ns"> }
  | { readonly type: "api_key"; readonly id: Id<"key"> };

/** Mode of a binding: `enforce` refuses what breaks the policy, `shadow` records it and lets it pass. */
export type BindingMode = "enforce" | "shadow";

export interface Binding {
  readonly id: Id<"bnd">;
  readonly namespaceId: Id<"ns">;
  readonly policyId: Id<"pol">;
  readonly principal: BoundPrincipal;
  readonly mode: BindingMode;
  readonly createdAt: Date;
  /** Key ids from the root key down to the key that bound the policy; empty if that is not recorded. */
  readonly creatorLineage: readonly Id<"key">[];
  /** Key ids from the root key down to the bound key; empty for a namespace, or if that is not recorded. */
  readonly principalLineage: readonly Id<"key">[];
}

/** Numbers of bindings of a policy. */
export interface BindingCounts {
  readonly all: number;
  /** Bindings of keys; the others are of the namespace. */
  readonly ofKeys: number;
  /** Bindings in shadow mode. */
  readonly inShadow: number;
}

/** Policy and one of its bindings. */
export interface BoundPolicy {
  readonly policy: Policy;
  readonly binding: Binding;
}

/** Etag of a policy, opaque to callers: it changes with name and spec, and with whether the policy is disabled. */
export function etagOf({ version, disabledAt }: Policy): string {
  return disabledAt === undefined ? `v${version}` : `v${version}-disabled`;
}

/** Change of a policy. An absent member stays as it is. */
export interface PolicyUpdate {
  readonly name?: string;
  /** Function from the present spec to the new one. */
  readonly spec?: (current: PolicySpec) => PolicySpec;
  /** Guardrail that the change brings, to be validated. */
  readonly guardrail?: GuardrailInRequest | undefined;
  /** Etag of the policy as the caller has read it. */
  readonly etag?: string;
}

/**
 * Policy with a new id and version 1.
 *
 * @param patternInstructions of its guardrail, from `RequireValidSpec`
 * @throws DomainError INVALID_ARGUMENT for a spec without a rule
 */
export function newPolicy(
  { namespaceId, lineage }: { readonly namespaceId: Id<"ns">; readonly lineage: readonly Id<"key">[] },
  { name, spec }: { readonly name: string; readonly spec: PolicySpec },
  patternInstructions: number,
  createdAt: Date,
): Policy {
  return {
    id: newId("pol"),
    namespaceId,
    name,
    spec: requireNonEmptySpec(spec),
    createdAt,
    disabledAt: undefined,
    version: 1n,
    creatorLineage: lineage,
    mintedFor: undefined,
    patternInstructions,
  };
}

/** @throws DomainError ABORTED if the policy has changed since it had the etag */
export function requireEtag(policy: Policy, etag: string | undefined): void {
  if (etag === undefined || etag === etagOf(policy)) return;
  throw new DomainError("aborted", "ETAG_MISMATCH", "the policy has changed since this etag: read it again");
}

/**
 * Policy after an update.
 *
 * @param broughtInstructions instructions of the guardrail that the update brings, from `RequireValidSpec`
 * @throws DomainError ABORTED for another etag, INVALID_ARGUMENT for a change that breaks a rule
 */
export function updatedPolicy(
  policy: Policy,
  { name, spec, etag, guardrail }: PolicyUpdate,
  broughtInstructions: number,
): Policy {
  requireEtag(policy, etag);
  if (name === undefined && spec === undefined) {
    throw new DomainError("invalid_argument", "FIELD_INVALID", "there is nothing to change: set the fields to change");
  }
  if (name === "") throw invalidField("name", "must not be blank");
  const next = spec?.(policy.spec) ?? policy.spec;
  if (next.kind !== policy.spec.kind) {
    throw invalidField("spec", `a policy's kind never changes, and this one is a ${policy.spec.kind}`);
  }
  const patterns = guardrailOf(next)?.contentPatterns;
  const isBrought = patterns === undefined || patterns === guardrail?.guardrail.contentPatterns;
  return {
    ...policy,
    name: name ?? policy.name,
    spec: requireNonEmptySpec(next),
    version: policy.version + 1n,
    patternInstructions: isBrought ? broughtInstructions : policy.patternInstructions,
  };
}
