import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type AppliedGuardrailSchema,
  BindingMode as ProtoMode,
  type BindingSchema,
  type PolicyKind as ProtoKind,
  type PolicySchema,
  PrincipalType,
  type UpdatePolicyRequest,
} from "@routeplane/contracts/policy";
import { invalidField, microToNano, nanoToMicro, requireId } from "@routeplane/domain";
import type { GuardrailSpec } from "@routeplane/guardrails";
import type { BudgetSpec, PolicyKind } from "@routeplane/policy-spec";
import {
  findWord,
  PROTO_BINDING_MODES,
  PROTO_POLICY_KINDS,
  PROTO_PRINCIPAL_TYPES,
  toProtoGuardrail,
  toProtoSpec,
} from "@routeplane/policy-spec/proto";
import { toTimestamp } from "@routeplane/rpc";
import type { Applied } from "../domain/effective/applied-policy.ts";
import type { BudgetUse } from "../domain/effective/read-effective-policy.ts";
import type { DescribedBinding, DescribedPolicy } from "../domain/policies/described-policy.ts";
import {
  type Binding,
  type BindingMode,
  type BoundPrincipal,
  etagOf,
  type PolicyUpdate,
} from "../domain/policies/policy.ts";
import { guardrailInRequest, requireProtoSpec } from "./convert-spec.ts";

/** Kind of the wire enum; undefined for UNSPECIFIED, which selects every kind. */
export function fromProtoKind(kind: ProtoKind): PolicyKind | undefined {
  return findWord(PROTO_POLICY_KINDS, kind);
}

export function toProtoPolicy({
  policy,
  bindingCounts,
  bindings,
}: DescribedPolicy): MessageInitShape<typeof PolicySchema> {
  const { id, name, spec, createdAt, disabledAt, creatorLineage } = policy;
  return {
    id,
    name,
    kind: PROTO_POLICY_KINDS[spec.kind],
    spec: toProtoSpec(spec),
    createdAt: toTimestamp(createdAt),
    etag: etagOf(policy),
    createdBy: creatorLineage.at(-1) ?? "",
    bindingCount: bindingCounts.all,
    keyBindingCount: bindingCounts.ofKeys,
    shadowBindingCount: bindingCounts.inShadow,
    bindings: bindings.map(({ binding, budget }) => ({
      binding: toProtoBinding(binding),
      ...(budget && { budgetUse: toProtoBudgetUse(budget.spec, budget.use) }),
    })),
    ...(disabledAt && { disabledAt: toTimestamp(disabledAt) }),
  };
}

/** Current use of a budget by the ids of its bindings, without those whose use is not known. */
export function toProtoBudgetUses(bindings: readonly DescribedBinding[]) {
  const uses = bindings.flatMap(({ binding, budget }) =>
    budget === undefined ? [] : [[binding.id, toProtoBudgetUse(budget.spec, budget.use)] as const],
  );
  return Object.fromEntries(uses);
}

export function toProtoBudgetUse({ limitMicroUsd }: BudgetSpec, use: BudgetUse) {
  const { spentNano, reservedNano, freesUpAt } = use;
  const remainingNano = microToNano(limitMicroUsd) - spentNano - reservedNano;
  return {
    spentMicroUsd: nanoToMicro(spentNano),
    reservedMicroUsd: nanoToMicro(reservedNano),
    leasedMicroUsd: nanoToMicro(use.leasedNano),
    heldBackMicroUsd: nanoToMicro(use.heldBackNano),
    // Rounded down, unlike the used amounts: a remaining micro-USD can be spent.
    remainingMicroUsd: remainingNano > 0n ? remainingNano / microToNano(1n) : 0n,
    ...(freesUpAt && { freesUpAt: toTimestamp(freesUpAt) }),
  };
}

export function fromProtoPolicyUpdate({ name, spec, etag, updateMask }: UpdatePolicyRequest): PolicyUpdate {
  const masked = updateMask?.paths ?? [];
  const unknown = masked.find((path) => !["name", "spec"].includes(path));
  if (unknown !== undefined) throw invalidField("update_mask", "must name only name and spec");
  const changes = (path: string, isSet: boolean): boolean => (masked.length === 0 ? isSet : masked.includes(path));
  const next = changes("spec", spec !== undefined) ? requireProtoSpec(spec) : undefined;
  return {
    ...(changes("name", name !== "") && { name }),
    ...(next && { spec: () => next, guardrail: guardrailInRequest(next) }),
    ...(etag !== "" && { etag }),
  };
}

/** Fields of a message that name a principal. */
interface PrincipalFields {
  readonly principalType: PrincipalType;
  readonly principalId: string;
}

/** @throws DomainError INVALID_ARGUMENT for a type that is missing, or an id that is not of its type */
export function fromProtoPrincipal({ principalType, principalId }: PrincipalFields): BoundPrincipal {
  if (principalType === PrincipalType.UNSPECIFIED) throw invalidField("principal_type", "must be namespace or api_key");
  return principalType === PrincipalType.NAMESPACE
    ? { type: "namespace", id: requireId("ns", principalId) }
    : { type: "api_key", id: requireId("key", principalId) };
}

/** Mode of the wire enum; UNSPECIFIED means enforce. */
export function fromProtoMode(mode: ProtoMode): BindingMode {
  return mode === ProtoMode.SHADOW ? "shadow" : "enforce";
}

export function toProtoMode(mode: BindingMode): ProtoMode {
  return PROTO_BINDING_MODES[mode];
}

export function toProtoBinding(binding: Binding): MessageInitShape<typeof BindingSchema> {
  const { id, policyId, principal, mode, createdAt, creatorLineage } = binding;
  return {
    id,
    policyId,
    ...toProtoPrincipal(principal),
    mode: PROTO_BINDING_MODES[mode],
    createdAt: toTimestamp(createdAt),
    createdBy: creatorLineage.at(-1) ?? "",
  };
}

export function toProtoAppliedGuardrail({
  principal,
  mode,
  spec,
  ...source
}: Applied<GuardrailSpec>): MessageInitShape<typeof AppliedGuardrailSchema> {
  return { ...source, ...toProtoPrincipal(principal), mode: PROTO_BINDING_MODES[mode], spec: toProtoGuardrail(spec) };
}

export function toProtoPrincipal({ type, id }: BoundPrincipal) {
  return { principalType: PROTO_PRINCIPAL_TYPES[type], principalId: id };
}
