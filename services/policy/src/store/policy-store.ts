import { DomainError, type Id } from "@routeplane/domain";
import { type Database, isUniqueViolation, type Transaction } from "@routeplane/postgres";
import { type Selectable, sql, type Updateable } from "kysely";
import { requirePolicyQuota } from "../domain/policies/quotas.ts";
import type { Policy } from "../domain/policies/policy.ts";
import type { PolicyStore } from "../domain/ports.ts";
import { deleteBindings, insertBinding, quotaNameOf, selectBindings } from "./binding-store.ts";
import { guardrailQuotaOf, isLargerGuardrail, lockGuardrailQuota, requireGuardrailSizes } from "./guardrail-sizes.ts";
import { idsOfPage, withSizeUpTo } from "./page-size.ts";
import { type ChangeablePolicy, lockQuotas, lockToChange } from "./policy-lock.ts";
import { fromBindingRow, fromPolicyRow, toPolicyRow } from "./convert-rows.ts";
import type { PolicySchema } from "./schema.ts";
import { toSpecColumns } from "./convert-spec.ts";

type Tx = Transaction<PolicySchema>;

export function createPolicyStore(database: Database<PolicySchema>): PolicyStore {
  return {
    add: (policy, bindings) =>
      database.within(policy, async (tx) => {
        const { namespaceId, spec } = policy;
        const guardrails = bindings.length > 0 ? guardrailQuotaOf(namespaceId, spec.kind) : undefined;
        await lockQuotas(tx, [`policies of ${namespaceId}`, ...bindings.map(quotaNameOf), guardrails]);
        await requireQuota(tx, policy);
        await withUniqueName(policy, () => tx.insertInto("policies").values(toPolicyRow(policy)).execute());
        for (const binding of bindings) await insertBinding(tx, policy, binding);
        if (guardrails !== undefined) await requireGuardrailSizes(tx, namespaceId, policy.id);
      }),

    find: (namespaceId, policyId) =>
      database.within({ namespaceId }, async (tx) => {
        const row = await selectPolicies(tx, namespaceId).where("id", "=", policyId).executeTakeFirst();
        return row && fromPolicyRow(row);
      }),

    list: (namespaceId, { kind, after, ...bounds }) =>
      database.within({ namespaceId }, async (tx) => {
        const sized = tx
          .selectFrom("policies")
          .select(["id", withSizeUpTo("id", "spec_bytes")])
          .where("namespace_id", "=", namespaceId)
          .$if(kind !== undefined, (query) => query.where("kind", "=", kind ?? "budget"))
          .$if(after !== undefined, (query) => query.where("id", ">", after ?? null))
          .orderBy("id")
          .limit(bounds.size + 1);
        const { ids, hasMore } = await idsOfPage(sized, bounds);
        const rows = await selectPolicies(tx, namespaceId)
          .where("id", "=", sql<Id<"pol">>`any(${ids})`)
          .orderBy("id")
          .execute();
        return { rows: rows.map(fromPolicyRow), hasMore };
      }),

    update: (caller, policyId, decide) =>
      database.within(caller, async (tx) => {
        await lockGuardrailQuota(tx, caller.namespaceId, policyId);
        const row = await lockToChange(tx, caller, policyId, "loosens");
        if (row === undefined) return undefined;
        const policy = decide(fromPolicyRow(row));
        const { name, version, patternInstructions } = policy;
        const { spec } = toSpecColumns(policy.spec);
        const columns = { name, spec, version, guardrail_instructions: patternInstructions ?? null };
        const changed = await withUniqueName(policy, () => change(tx, row, columns));
        if (isLargerGuardrail(changed, row)) await requireGuardrailSizes(tx, caller.namespaceId, policyId);
        return policy;
      }),

    enable: (caller, policyId) =>
      database.within(caller, async (tx) => {
        const row = await lockToChange(tx, caller, policyId, "tightens");
        if (row === undefined || row.disabled_at === null) return row && fromPolicyRow(row);
        await change(tx, row, { disabled_at: null });
        return fromPolicyRow({ ...row, disabled_at: null });
      }),

    disable: (caller, policyId, at) =>
      database.within(caller, async (tx) => {
        const row = await lockToChange(tx, caller, policyId, "loosens");
        if (row === undefined || row.disabled_at !== null) return row && fromPolicyRow(row);
        await change(tx, row, { disabled_at: at });
        return fromPolicyRow({ ...row, disabled_at: at });
      }),

    remove: (caller, policyId, decide) =>
      database.within(caller, async (tx) => {
        const row = await lockToChange(tx, caller, policyId, "loosens");
        if (row === undefined) return undefined;
        const bindings = await selectBindings(tx, caller.namespaceId).where("policy_id", "=", policyId).execute();
        decide(bindings.map(fromBindingRow));
        const deleted = await deleteBindings(
          tx,
          row,
          bindings.map(({ id }) => id),
        );
        await tx.deleteFrom("policies").where("namespace_id", "=", row.namespace_id).where("id", "=", row.id).execute();
        return deleted;
      }),
  };
}

/** Requires quota for one more policy. The caller has locked the quota. @throws DomainError RESOURCE_EXHAUSTED */
async function requireQuota(tx: Tx, { namespaceId, creatorLineage }: Policy): Promise<void> {
  const { all, by_sub_keys, by_branch } = await tx
    .selectFrom("policies")
    .select(({ fn }) => [
      fn.countAll<string>().as("all"),
      fn
        .countAll<string>()
        .filterWhere(sql<boolean>`cardinality(creator_lineage) > 1`)
        .as("by_sub_keys"),
      fn
        .countAll<string>()
        .filterWhere(sql<boolean>`creator_lineage[2] = ${creatorLineage[1] ?? null}`)
        .as("by_branch"),
    ])
    .where("namespace_id", "=", namespaceId)
    .executeTakeFirstOrThrow();
  const counts = { all: Number(all), bySubKeys: Number(by_sub_keys), byBranch: Number(by_branch) };
  requirePolicyQuota(creatorLineage, counts);
}

function selectPolicies(tx: Tx, namespaceId: Id<"ns">) {
  return tx.selectFrom("policies").selectAll().where("namespace_id", "=", namespaceId);
}

async function change(
  tx: Tx,
  { namespace_id: namespaceId, id }: ChangeablePolicy,
  columns: Updateable<PolicySchema["policies"]>,
): Promise<Selectable<PolicySchema["policies"]>> {
  return tx
    .updateTable("policies")
    .set(columns)
    .where("namespace_id", "=", namespaceId)
    .where("id", "=", id)
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Runs a write of a policy. @throws DomainError ALREADY_EXISTS if another policy of the namespace has its name */
async function withUniqueName<T>({ name }: Policy, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (!isUniqueViolation(error, "policies_folded_name")) throw error;
    const rule = "is taken by another policy of this namespace; names that differ only in case count as the same";
    throw new DomainError("already_exists", "NAME_TAKEN", `name: ${JSON.stringify(name)} ${rule}`, {
      fields: [{ field: "name", rule }],
      metadata: { field: "name" },
    });
  }
}
