import type { Binding, BoundPolicy, Policy } from "@routeplane/contracts/policy";
import type { Column } from "../output/table.ts";
import { formatTime } from "../output/time.ts";
import { fromProtoSpec, specFields, specText, type SpecView } from "./spec.ts";
import { fromProtoSet, fromProtoTime } from "./values.ts";
import { MODES, POLICY_KINDS, PRINCIPAL_TYPES, word } from "./words.ts";

export interface PolicyView {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  /** Null if this CLI is older than the policy's kind. */
  readonly spec: SpecView | null;
  readonly disabled_at: string | null;
  readonly etag: string;
  /** Null if the policy is older than this field. */
  readonly created_by: string | null;
}

export interface BindingView {
  readonly id: string;
  readonly policy_id: string;
  readonly principal_type: string;
  readonly principal_id: string;
  readonly mode: string;
  /** Null if the binding is older than this field. */
  readonly created_by: string | null;
}

export interface BoundPolicyView extends PolicyView {
  readonly binding: BindingView;
}

export function fromProtoPolicy({ id, name, kind, spec, disabledAt, etag, createdBy }: Policy): PolicyView {
  return {
    id,
    name,
    kind: word(POLICY_KINDS, kind),
    spec: fromProtoSpec(spec),
    disabled_at: fromProtoTime(disabledAt),
    etag,
    created_by: createdBy || null,
  };
}

export function fromProtoBinding({ id, policyId, principalType, principalId, mode, createdBy }: Binding): BindingView {
  return {
    id,
    policy_id: policyId,
    principal_type: word(PRINCIPAL_TYPES, principalType),
    principal_id: principalId,
    mode: word(MODES, mode),
    created_by: createdBy || null,
  };
}

export function fromProtoBoundPolicy({ policy, binding }: BoundPolicy): BoundPolicyView {
  return { ...fromProtoPolicy(fromProtoSet(policy)), binding: fromProtoBinding(fromProtoSet(binding)) };
}

const SPEC_COLUMNS: readonly Column<PolicyView>[] = [
  { header: "NAME", cell: ({ name }) => name },
  { header: "KIND", cell: ({ kind }) => kind },
  { header: "STATUS", cell: ({ disabled_at }) => (disabled_at === null ? "enabled" : "disabled") },
  { header: "SPEC", cell: ({ spec }) => shortened(specText(spec)) },
];

export const POLICY_COLUMNS: readonly Column<PolicyView>[] = [{ header: "ID", cell: ({ id }) => id }, ...SPEC_COLUMNS];

export const BINDING_COLUMNS: readonly Column<BindingView>[] = [
  { header: "ID", cell: ({ id }) => id },
  { header: "MODE", cell: ({ mode }) => mode },
  { header: "PRINCIPAL", cell: principalText },
];

export const BOUND_POLICY_COLUMNS: readonly Column<BoundPolicyView>[] = [
  { header: "POLICY", cell: ({ id }) => id },
  { header: "BINDING", cell: ({ binding }) => binding.id },
  { header: "MODE", cell: ({ binding }) => binding.mode },
  ...SPEC_COLUMNS,
];

export function policyFields(policy: PolicyView): readonly (readonly [string, string])[] {
  const { spec } = policy;
  return [
    ["id", policy.id],
    ["name", policy.name],
    ["kind", policy.kind],
    ...(spec === null ? [["spec", specText(spec)] as const] : specFields(spec).map(named)),
    ["disabled", policy.disabled_at === null ? "no" : formatTime(policy.disabled_at)],
    ["created by", policy.created_by ?? "not recorded"],
    ["etag", policy.etag],
  ];
}

export function bindingFields(binding: BindingView): readonly [string, string][] {
  return [
    ["id", binding.id],
    ["policy", binding.policy_id],
    ["principal", principalText(binding)],
    ["mode", binding.mode],
    ["bound by", binding.created_by ?? "not recorded"],
  ];
}

export function principalText({ principal_type, principal_id }: BindingView): string {
  return `${principal_type} ${principal_id}`;
}

function named([name, value]: readonly [string, string]): readonly [string, string] {
  return [name === "" ? "spec" : name, value];
}

/** A guardrail may say more than fits on a line; `get` shows all of it. */
const MAX_SPEC_CHARS = 100;

function shortened(text: string): string {
  return text.length <= MAX_SPEC_CHARS ? text : `${text.slice(0, MAX_SPEC_CHARS - 1)}…`;
}
