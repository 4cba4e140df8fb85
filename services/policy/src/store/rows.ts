import { BUDGET_WINDOWS } from "@routeplane/admission";
import type { Selectable } from "kysely";
import type { Hold } from "../domain/hold.ts";
import type { Binding, BoundPrincipal, Policy, PolicySpec } from "../domain/policy.ts";
import type { PolicySchema } from "./schema.ts";

export function fromPolicyRow(row: Selectable<PolicySchema["policies"]>): Policy {
  return {
    id: row.id,
    namespaceId: row.namespace_id,
    name: row.name,
    spec: fromSpecColumns(row),
    createdAt: row.created_at,
    disabledAt: row.disabled_at ?? undefined,
  };
}

export function toPolicyRow({ id, namespaceId, name, spec, createdAt, disabledAt }: Policy) {
  return {
    namespace_id: namespaceId,
    id,
    name,
    ...toSpecColumns(spec),
    created_at: createdAt,
    disabled_at: disabledAt ?? null,
  };
}

/** A limit is at most 9e15, so it is exact as a JSON number. */
function toSpecColumns({ kind, window, limitMicroUsd }: PolicySpec) {
  return { kind, spec: JSON.stringify({ window, limit_micro_usd: Number(limitMicroUsd) }) };
}

/**
 * What a policy says, from its columns.
 *
 * @throws Error if they cannot be read: whoever needs the policy must refuse, because it would not be enforced
 */
export function fromSpecColumns(row: { readonly kind: string; readonly spec: unknown }): PolicySpec {
  const { window: name, limit_micro_usd: limit, ...rest } = Object(row.spec) as Record<string, unknown>;
  const window = BUDGET_WINDOWS.find((each) => each === name);
  const readable = row.kind === "budget" && Number.isSafeInteger(limit) && Object.keys(rest).length === 0;
  if (!readable || window === undefined || Number(limit) <= 0) throw new Error("a policy's spec cannot be read");
  return { kind: "budget", window, limitMicroUsd: BigInt(Number(limit)) };
}

export function fromBindingRow(row: Selectable<PolicySchema["bindings"]>): Binding {
  return {
    id: row.id,
    namespaceId: row.namespace_id,
    policyId: row.policy_id,
    principal: fromPrincipalColumns(row),
    createdAt: row.created_at,
  };
}

export function toBindingRow({ id, namespaceId, policyId, principal, createdAt }: Binding) {
  return {
    namespace_id: namespaceId,
    id,
    policy_id: policyId,
    principal_type: principal.type,
    principal_id: principal.id,
    created_at: createdAt,
  };
}

export function fromPrincipalColumns(
  row: Pick<Selectable<PolicySchema["bindings"]>, "principal_type" | "principal_id">,
): BoundPrincipal {
  return { type: row.principal_type, id: row.principal_id } as BoundPrincipal;
}

export function fromHoldRow(row: Selectable<PolicySchema["holds"]>): Hold {
  return {
    requestId: row.request_id,
    bindingIds: row.binding_ids,
    amountNano: row.amount_nano,
    outputTokensMax: row.output_tokens_max,
    expiresAt: row.expires_at,
    state: row.state,
    closedAt: row.closed_at ?? undefined,
  };
}
