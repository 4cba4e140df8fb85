import type { MessageInitShape } from "@bufbuild/protobuf";
import type { BudgetWindow } from "@routeplane/admission";
import {
  type AdmitRequest,
  type AdmitResponseSchema,
  type BindingSchema,
  BudgetWindow as ProtoWindow,
  type BindPolicyRequest,
  PolicyKind as ProtoKind,
  type PolicySchema,
  type PolicySpec as ProtoSpec,
  PrincipalType,
} from "@routeplane/contracts/policy";
import { invalidField, requireId } from "@routeplane/domain";
import { toTimestamp } from "@routeplane/rpc";
import type { AdmissionAnswer, AdmissionRequest } from "../domain/admission.ts";
import type { Binding, BoundPrincipal, Policy, PolicyKind, PolicySpec } from "../domain/policy.ts";

const WINDOWS: Readonly<Record<BudgetWindow, ProtoWindow>> = {
  hour: ProtoWindow.HOUR,
  day: ProtoWindow.DAY,
  week: ProtoWindow.WEEK,
  month: ProtoWindow.MONTH,
  total: ProtoWindow.TOTAL,
};

const PRINCIPAL_TYPES: Readonly<Record<BoundPrincipal["type"], PrincipalType>> = {
  namespace: PrincipalType.NAMESPACE,
  api_key: PrincipalType.API_KEY,
};

const KINDS: Readonly<Record<PolicyKind, ProtoKind>> = { budget: ProtoKind.BUDGET };

/** Undefined: any kind. */
export function fromProtoKind(kind: ProtoKind): PolicyKind | undefined {
  return kind === ProtoKind.BUDGET ? "budget" : undefined;
}

export function fromProtoSpec(spec: ProtoSpec | undefined): PolicySpec {
  if (spec?.kind.case !== "budget") throw invalidField("spec", "must say what the policy limits");
  const { window: number, limitMicroUsd } = spec.kind.value;
  const [window] = Object.entries(WINDOWS).find(([, value]) => value === number) ?? [];
  if (window === undefined) throw invalidField("spec.budget.window", "must be a known window");
  return { kind: "budget", window: window as BudgetWindow, limitMicroUsd };
}

export function toProtoPolicy({
  id,
  name,
  spec,
  createdAt,
  disabledAt,
}: Policy): MessageInitShape<typeof PolicySchema> {
  const { window, limitMicroUsd } = spec;
  return {
    id,
    name,
    kind: KINDS[spec.kind],
    spec: { kind: { case: "budget", value: { window: WINDOWS[window], limitMicroUsd } } },
    createdAt: toTimestamp(createdAt),
    ...(disabledAt && { disabledAt: toTimestamp(disabledAt) }),
  };
}

export function fromProtoPrincipal({ principalType, principalId }: BindPolicyRequest): BoundPrincipal {
  return principalType === PrincipalType.NAMESPACE
    ? { type: "namespace", id: requireId("ns", principalId) }
    : { type: "api_key", id: requireId("key", principalId) };
}

export function toProtoBinding({
  id,
  policyId,
  principal,
  createdAt,
}: Binding): MessageInitShape<typeof BindingSchema> {
  return { id, policyId, ...toProtoPrincipal(principal), createdAt: toTimestamp(createdAt) };
}

function toProtoPrincipal({ type, id }: BoundPrincipal) {
  return { principalType: PRINCIPAL_TYPES[type], principalId: id };
}

export function fromProtoAdmitRequest(request: AdmitRequest): AdmissionRequest {
  if (request.price === undefined) throw invalidField("price", "is required");
  return {
    namespaceId: requireId("ns", request.namespaceId),
    requestId: requireId("req", request.requestId),
    lineage: request.lineage.map((id) => requireId("key", id)),
    price: { inputPicoUsd: request.price.inputPicoUsd, outputPicoUsd: request.price.outputPicoUsd },
    inputTokensMax: request.inputTokensMax,
    outputTokensMax: request.outputTokensMax,
    choices: BigInt(request.choices || 1),
  };
}

export function toProtoAdmitResponse(answer: AdmissionAnswer): MessageInitShape<typeof AdmitResponseSchema> {
  if (answer.outcome === "admitted") {
    const { outputTokensMax, reservedNano, expiresAt } = answer;
    const bounds = { outputTokensMax, reservedNanoUsd: reservedNano };
    const value = { ...bounds, ...(expiresAt && { expiresAt: toTimestamp(expiresAt) }) };
    return { outcome: { case: "admission", value } };
  }
  const { budget, message } = answer;
  const { policyId, policyName, bindingId, principal } = budget;
  const value = { policyId, policyName, bindingId, ...toProtoPrincipal(principal), message };
  return { outcome: { case: "denial", value } };
}
