/**
 * Sizes of the guardrails that apply to principals. A transaction that adds to them locks `guardrailQuotaOf` first, so that two
 * that each fit do not exceed the bounds together; then it writes, and then it requires quota for what it has written.
 */
import {
  MAX_COMPOSED_BYTES,
  MAX_COMPOSED_INSTRUCTIONS,
  MAX_COMPOSED_PATTERNS,
  MAX_INSTRUCTIONS,
} from "@routeplane/guardrails";
import type { PolicyKind } from "@routeplane/policy-spec";
import type { Id } from "@routeplane/domain";
import type { Transaction } from "@routeplane/postgres";
import { type Selectable, sql } from "kysely";
import { type GuardrailSize, requireGuardrailQuota } from "../domain/policies/quotas.ts";
import { lockQuotas } from "./policy-lock.ts";
import type { PolicySchema } from "./schema.ts";

type Tx = Transaction<PolicySchema>;

/** Name of the quota of the guardrails of a namespace, for `lockQuotas`; undefined for a kind that has no guardrail. */
export function guardrailQuotaOf(namespaceId: Id<"ns">, kind: PolicyKind): string | undefined {
  return kind === "guardrail" || kind === "preset" ? `guardrails of ${namespaceId}` : undefined;
}

/** Locks the quota of guardrails for a change of a policy, whose kind never changes; nothing for a kind that has no guardrail. */
export async function lockGuardrailQuota(tx: Tx, namespaceId: Id<"ns">, policyId: Id<"pol">): Promise<void> {
  await lockQuotas(tx, [await findGuardrailQuota(tx, namespaceId, policyId)]);
}

/** Name of the quota that a policy counts against once it is bound. */
export async function findGuardrailQuota(
  tx: Tx,
  namespaceId: Id<"ns">,
  policyId: Id<"pol">,
): Promise<string | undefined> {
  const row = await tx
    .selectFrom("policies")
    .select("kind")
    .where("namespace_id", "=", namespaceId)
    .where("id", "=", policyId)
    .executeTakeFirst();
  return row && guardrailQuotaOf(namespaceId, row.kind);
}

type SizeColumns = Pick<
  Selectable<PolicySchema["policies"]>,
  "guardrail_patterns" | "guardrail_bytes" | "guardrail_instructions"
>;

/** True if a change of a policy can add to the sizes; one that does not is never refused, whatever the sizes are. */
export function isLargerGuardrail(after: SizeColumns, before: SizeColumns): boolean {
  if (after.guardrail_patterns > before.guardrail_patterns || after.guardrail_bytes > before.guardrail_bytes)
    return true;
  return (after.guardrail_instructions ?? 0) > (before.guardrail_instructions ?? Infinity);
}

/**
 * Requires that the guardrails that apply to a principal stay within the bounds, for every principal that the policy applies to.
 * Disabled policies count, so that enabling one needs no quota; so do those in shadow mode, which are judged too.
 *
 * @throws DomainError RESOURCE_EXHAUSTED
 */
export async function requireGuardrailSizes(tx: Tx, namespaceId: Id<"ns">, policyId: Id<"pol">): Promise<void> {
  // A binding of an early release does not record the lineage of its key: if none of a key does, only its own bindings and the namespace's count.
  const { rows } = await sql<{ principal_id: string; patterns: number; instructions: number; bytes: number }>`
    with guardrails as (
      select b.principal_id, b.policy_id, b.principal_lineage || array[b.principal_id, b.namespace_id] as above,
        p.guardrail_patterns as patterns, p.guardrail_bytes as bytes,
        coalesce(p.guardrail_instructions, p.guardrail_patterns * ${sql.lit(MAX_INSTRUCTIONS)}) as instructions
      from bindings b join policies p on p.namespace_id = b.namespace_id and p.id = b.policy_id
      where b.namespace_id = ${namespaceId} and p.guardrail_bytes > 0
    ), own as (
      select principal_id, sum(patterns) as patterns, sum(instructions) as instructions, sum(bytes) as bytes
      from guardrails group by principal_id
    ), reached as (
      select principal_id, array_agg(distinct id) as above
      from guardrails cross join lateral unnest(above) as id
      group by principal_id
      having array_agg(id) && (select array_agg(principal_id) from guardrails where policy_id = ${policyId})
    )
    select r.principal_id, sum(o.patterns)::float8 as patterns, sum(o.instructions)::float8 as instructions,
      sum(o.bytes)::float8 as bytes
    from reached r cross join lateral unnest(r.above) as id join own o on o.principal_id = id
    group by r.principal_id
    order by greatest(
      sum(o.patterns) / ${sql.lit(MAX_COMPOSED_PATTERNS)}::float8,
      sum(o.instructions) / ${sql.lit(MAX_COMPOSED_INSTRUCTIONS)}::float8,
      sum(o.bytes) / ${sql.lit(MAX_COMPOSED_BYTES)}::float8
    ) desc
    limit 1`.execute(tx);
  for (const row of rows) requireGuardrailQuota(row.principal_id, row satisfies GuardrailSize);
}
