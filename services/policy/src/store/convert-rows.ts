import type { Id } from "@routeplane/domain";
import type { Selectable } from "kysely";
import type { Reservation } from "../domain/admission/reservation.ts";
import type { Binding, BindingCounts, BoundPolicy, BoundPrincipal, Policy } from "../domain/policies/policy.ts";
import type { Page } from "../domain/ports.ts";
import type { PolicySchema } from "./schema.ts";
import { fromSpecColumns, toSpecColumns } from "./convert-spec.ts";

export function fromPolicyRow(row: Selectable<PolicySchema["policies"]>): Policy {
  return {
    id: row.id,
    namespaceId: row.namespace_id,
    name: row.name,
    spec: fromSpecColumns(row.id, row),
    createdAt: row.created_at,
    disabledAt: row.disabled_at ?? undefined,
    version: row.version,
    creatorLineage: row.creator_lineage,
    mintedFor: row.minted_for ?? undefined,
    patternInstructions: row.guardrail_instructions ?? undefined,
  };
}

export function toPolicyRow(policy: Policy) {
  const { id, namespaceId, name, spec, createdAt, disabledAt, version } = policy;
  const { creatorLineage, mintedFor, patternInstructions } = policy;
  return {
    namespace_id: namespaceId,
    id,
    name,
    ...toSpecColumns(spec),
    created_at: createdAt,
    disabled_at: disabledAt ?? null,
    version,
    creator_lineage: [...creatorLineage],
    minted_for: mintedFor === undefined ? null : [...mintedFor],
    guardrail_instructions: patternInstructions ?? null,
  };
}

export function fromBindingRow(row: Selectable<PolicySchema["bindings"]>): Binding {
  return {
    id: row.id,
    namespaceId: row.namespace_id,
    policyId: row.policy_id,
    principal: fromPrincipalColumns(row),
    mode: row.mode,
    createdAt: row.created_at,
    creatorLineage: row.creator_lineage,
    principalLineage: row.principal_lineage,
  };
}

export function toBindingRow(binding: Binding) {
  const { id, namespaceId, policyId, principal, mode, createdAt, creatorLineage, principalLineage } = binding;
  return {
    namespace_id: namespaceId,
    id,
    policy_id: policyId,
    principal_type: principal.type,
    principal_id: principal.id,
    mode,
    created_at: createdAt,
    creator_lineage: [...creatorLineage],
    principal_lineage: [...principalLineage],
  };
}

/** Row of a policy with the columns of one of its bindings. */
type BoundPolicyRow = Selectable<PolicySchema["policies"]> &
  Pick<Selectable<PolicySchema["bindings"]>, "principal_type" | "principal_id" | "mode"> & {
    readonly binding_id: Binding["id"];
    readonly bound_at: Date;
    readonly bound_by: Id<"key">[];
    readonly principal_lineage: Id<"key">[];
  };

export function fromBoundPolicyRow(row: BoundPolicyRow): BoundPolicy {
  const { id: policy_id, binding_id: id, bound_at: created_at, bound_by: creator_lineage } = row;
  const binding = fromBindingRow({ ...row, policy_id, id, created_at, creator_lineage });
  return { policy: fromPolicyRow(row), binding };
}

export function toPage<T>(rows: readonly T[], { size }: { readonly size: number }): Page<T> {
  return { rows: rows.slice(0, size), hasMore: rows.length > size };
}

export function fromPrincipalColumns(
  row: Pick<Selectable<PolicySchema["bindings"]>, "principal_type" | "principal_id">,
): BoundPrincipal {
  return { type: row.principal_type, id: row.principal_id } as BoundPrincipal;
}

export function fromReservationRow(row: Selectable<PolicySchema["holds"]>): Reservation {
  return {
    keyId: row.key_id,
    requestId: row.request_id,
    budgetBindingIds: row.budget_binding_ids,
    rateBindingIds: row.rate_binding_ids,
    reservedNano: row.amount_nano,
    tokens: row.tokens,
    openedAt: row.opened_at,
    outputTokensMax: row.output_tokens_max,
    expiresAt: row.expires_at,
    state: row.state,
    endedAt: row.closed_at ?? undefined,
  };
}

/** Binding of a policy, and how many the policy has. */
export type CountedBindingRow = Selectable<PolicySchema["bindings"]> & {
  readonly of_policy: bigint;
  readonly of_keys: bigint;
  readonly in_shadow: bigint;
};

/** Converts rows of one policy. */
export function fromCountedRows(rows: readonly CountedBindingRow[]): {
  readonly counts: BindingCounts;
  readonly bindings: readonly Binding[];
} {
  const { of_policy = 0, of_keys = 0, in_shadow = 0 } = rows[0] ?? {};
  const counts = { all: Number(of_policy), ofKeys: Number(of_keys), inShadow: Number(in_shadow) };
  return { counts, bindings: rows.map(fromBindingRow) };
}
