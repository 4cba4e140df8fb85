import type { Id } from "@routeplane/domain";
import type { Database, Transaction } from "@routeplane/postgres";
import { sql } from "kysely";
import { replacesShadow } from "../domain/policies/authority.ts";
import { requirePrincipalBindingQuota, requirePolicyBindingQuota } from "../domain/policies/quotas.ts";
import type { Binding, Policy } from "../domain/policies/policy.ts";
import type { BindingStore } from "../domain/ports.ts";
import { findGuardrailQuota, requireGuardrailSizes } from "./guardrail-sizes.ts";
import { idsOfPage, withSizeUpTo } from "./page-size.ts";
import { type LockedPolicy, lockQuotas, lockPolicy, lockToChange } from "./policy-lock.ts";
import { fromBindingRow, fromBoundPolicyRow, fromPolicyRow, toBindingRow, toPage } from "./convert-rows.ts";
import { type CountedBindingRow, fromCountedRows } from "./convert-rows.ts";
import type { PolicySchema } from "./schema.ts";

type Tx = Transaction<PolicySchema>;

/** Maximum number of bindings of a revoked key that are removed at once. */
const MAX_REMOVED = 200;
/** Text that sorts before every id. */
const FIRST_ID = "" as Id<"bnd">;

export function createBindingStore(database: Database<PolicySchema>): BindingStore {
  return {
    add: (binding, check) =>
      database.within(binding, async (tx) => {
        const { namespaceId, policyId, principal } = binding;
        const guardrails = await findGuardrailQuota(tx, namespaceId, policyId);
        await lockQuotas(tx, [quotaNameOf(binding), guardrails]);
        const row = await lockPolicy(tx, namespaceId, policyId);
        if (row === undefined) return undefined;
        const policy = fromPolicyRow(row);
        check(policy);
        const existingRow = await selectBindings(tx, namespaceId)
          .where("principal_id", "=", principal.id)
          .where("policy_id", "=", policyId)
          .executeTakeFirst();
        if (existingRow !== undefined) {
          const existing = fromBindingRow(existingRow);
          if (!replacesShadow(binding, existing)) return { policy, binding: existing };
          await deleteBindings(tx, row, [existing.id]);
        }
        await insertBinding(tx, policy, binding);
        if (row.guardrail_bytes > 0) await requireGuardrailSizes(tx, namespaceId, policyId);
        return { policy, binding };
      }),

    remove: (caller, policyId, bindingId) =>
      database.within(caller, async (tx) => {
        const policy = await lockToChange(tx, caller, policyId, "loosens");
        if (policy === undefined) return undefined;
        const [deleted] = await deleteBindings(tx, policy, [bindingId]);
        return deleted;
      }),

    removeMany: (caller, policyId, choose) =>
      database.within(caller, async (tx) => {
        const policy = await lockToChange(tx, caller, policyId, "loosens");
        if (policy === undefined) return undefined;
        const rows = await selectBindings(tx, caller.namespaceId)
          .where("policy_id", "=", policyId)
          .orderBy("id")
          .execute();
        const chosen = choose(rows.map(fromBindingRow));
        return deleteBindings(
          tx,
          policy,
          chosen.map(({ id }) => id),
        );
      }),

    async removeOfRevoked(namespaceId, keyId) {
      const bound = await database.within({ namespaceId }, (tx) =>
        selectBindings(tx, namespaceId)
          .clearSelect()
          .select(["id", "policy_id"])
          .where(sql<boolean>`(principal_id = ${keyId} or ${keyId} = any(principal_lineage))`)
          .orderBy("policy_id")
          .limit(MAX_REMOVED + 1)
          .execute(),
      );
      let removed = 0;
      for (const [policyId, rows] of Map.groupBy(bound.slice(0, MAX_REMOVED), (row) => row.policy_id)) {
        removed += await database.within({ namespaceId }, async (tx) => {
          const policy = await lockPolicy(tx, namespaceId, policyId);
          if (policy === undefined) return rows.length;
          const ids = rows.map(({ id }) => id);
          const settled = await lockCountersForDeletion(
            tx,
            namespaceId,
            ids,
            sql<boolean>`open_holds = 0 and reserved_nano = 0`,
          );
          return (await deleteBindings(tx, policy, settled)).length;
        });
      }
      const isEmpty = await removeMintedLimits(database, namespaceId, keyId);
      return isEmpty && removed === bound.length;
    },

    ofPolicy: (namespaceId, policyId, page) =>
      database.within({ namespaceId }, async (tx) => {
        const policy = await tx
          .selectFrom("policies")
          .select("id")
          .where("namespace_id", "=", namespaceId)
          .where("id", "=", policyId)
          .executeTakeFirst();
        if (policy === undefined) return undefined;
        const rows = await selectBindings(tx, namespaceId)
          .where("policy_id", "=", policyId)
          .where("id", ">", page.after ?? FIRST_ID)
          .orderBy("id")
          .limit(page.size + 1)
          .execute();
        return toPage(rows.map(fromBindingRow), page);
      }),

    oldestOfPolicies: (namespaceId, policyIds, maxCount) =>
      database.within({ namespaceId }, async (tx) => {
        const { rows } = await sql<CountedBindingRow>`
          select * from (
            select bindings.*, count(*) over of_policy as of_policy,
              count(*) filter (where principal_type = 'api_key') over of_policy as of_keys,
              count(*) filter (where mode = 'shadow') over of_policy as in_shadow,
              row_number() over (partition by policy_id order by id) as position
            from bindings where namespace_id = ${namespaceId} and policy_id = any(${policyIds})
            window of_policy as (partition by policy_id)
          ) as numbered
          where position <= ${maxCount} order by id`.execute(tx);
        return new Map([...Map.groupBy(rows, (row) => row.policy_id)].map(([id, of]) => [id, fromCountedRows(of)]));
      }),

    ofPrincipal: ({ id }, namespaceId, page) =>
      database.within({ namespaceId }, async (tx) => {
        const ofPrincipal = tx
          .selectFrom("bindings as b")
          .innerJoin("policies as p", (join) =>
            join.onRef("p.namespace_id", "=", "b.namespace_id").onRef("p.id", "=", "b.policy_id"),
          )
          .where("b.namespace_id", "=", namespaceId)
          .where("b.principal_id", "=", id)
          .where("b.id", ">", page.after ?? FIRST_ID)
          .orderBy("b.id");
        const sized = ofPrincipal.select(["b.id", withSizeUpTo("b.id", "p.spec_bytes")]).limit(page.size + 1);
        const { ids, hasMore } = await idsOfPage(sized, page);
        const rows = await ofPrincipal
          .selectAll("p")
          .select(["b.id as binding_id", "b.principal_type", "b.principal_id", "b.mode", "b.created_at as bound_at"])
          .select(["b.creator_lineage as bound_by", "b.principal_lineage"])
          .where("b.id", "=", sql<Id<"bnd">>`any(${ids})`)
          .execute();
        return { rows: rows.map(fromBoundPolicyRow), hasMore };
      }),
  };
}

/**
 * Removes policies that hold the limits which a key, or one below it, was minted with, and that are bound to nothing.
 *
 * @returns true if none is left
 */
async function removeMintedLimits(
  database: Database<PolicySchema>,
  namespaceId: Id<"ns">,
  keyId: Id<"key">,
): Promise<boolean> {
  const unbound = sql<boolean>`not exists (
    select from bindings b where b.namespace_id = policies.namespace_id and b.policy_id = policies.id)`;
  const rows = await database.within({ namespaceId }, (tx) =>
    tx
      .selectFrom("policies")
      .select("id")
      .where("namespace_id", "=", namespaceId)
      .where(sql<boolean>`${keyId} = any(minted_for)`)
      .where(unbound)
      .orderBy("id")
      .limit(MAX_REMOVED + 1)
      .execute(),
  );
  for (const { id } of rows.slice(0, MAX_REMOVED)) {
    await database.within({ namespaceId }, async (tx) => {
      // Locked first, so that the condition sees a binding that was made meanwhile.
      if ((await lockPolicy(tx, namespaceId, id)) === undefined) return;
      await tx
        .deleteFrom("policies")
        .where("namespace_id", "=", namespaceId)
        .where("id", "=", id)
        .where(unbound)
        .execute();
    });
  }
  return rows.length <= MAX_REMOVED;
}

/** Name of the quota of a principal's bindings, for `lockQuotas`. */
export function quotaNameOf({ namespaceId, principal }: Binding): string {
  return `bindings of ${namespaceId} ${principal.id}`;
}

/**
 * Inserts a binding within the quotas. The caller has locked the principal's quota and the policy, or no other transaction sees
 * the policy yet.
 *
 * @throws DomainError RESOURCE_EXHAUSTED
 */
export async function insertBinding(tx: Tx, { id }: Policy, binding: Binding): Promise<void> {
  const { principal, creatorLineage } = binding;
  const bySubKey = sql<boolean>`cardinality(creator_lineage) > 1`;
  const counts = await tx
    .selectFrom("bindings")
    .select(({ fn }) => {
      const atPrincipal = fn.countAll<string>().filterWhere("principal_id", "=", principal.id);
      const ofPolicy = fn.countAll<string>().filterWhere("policy_id", "=", id);
      return [
        atPrincipal.as("at_principal"),
        atPrincipal.filterWhere(bySubKey).as("at_principal_by_sub_keys"),
        atPrincipal
          .filterWhere(bySubKey)
          .filterWhere(sql<boolean>`creator_lineage[cardinality(creator_lineage)] = principal_id`)
          .as("at_principal_by_itself"),
        ofPolicy.as("of_policy"),
        ofPolicy.filterWhere(bySubKey).as("of_policy_by_sub_keys"),
      ];
    })
    .where("namespace_id", "=", binding.namespaceId)
    .where((is) => is.or([is("principal_id", "=", principal.id), is("policy_id", "=", id)]))
    .executeTakeFirstOrThrow();
  requirePrincipalBindingQuota(creatorLineage, principal.id, {
    all: Number(counts.at_principal),
    bySubKeys: Number(counts.at_principal_by_sub_keys),
    byItself: Number(counts.at_principal_by_itself),
  });
  requirePolicyBindingQuota(creatorLineage, {
    all: Number(counts.of_policy),
    bySubKeys: Number(counts.of_policy_by_sub_keys),
  });
  await tx.insertInto("bindings").values(toBindingRow(binding)).execute();
}

/**
 * Deletes bindings of a policy with their counters; ids of other policies' bindings are ignored.
 *
 * @param policy locked; the caller may change it, or replaces bindings in shadow mode by an enforced one
 * @returns the deleted bindings in order of id
 */
export async function deleteBindings(
  tx: Tx,
  { namespace_id: namespaceId, id }: LockedPolicy,
  bindingIds: readonly Id<"bnd">[],
): Promise<readonly Binding[]> {
  const ofPolicy = await selectBindings(tx, namespaceId)
    .where("policy_id", "=", id)
    .where("id", "=", sql<Id<"bnd">>`any(${bindingIds})`)
    .orderBy("id")
    .execute();
  const ids = ofPolicy.map((row) => row.id);
  await lockCountersForDeletion(tx, namespaceId, ids);
  await tx
    .deleteFrom("bindings")
    .where("namespace_id", "=", namespaceId)
    .where("id", "=", sql<Id<"bnd">>`any(${ids})`)
    .execute();
  return ofPolicy.map(fromBindingRow);
}

/**
 * Locks counters in the order in which admissions lock them, so that neither waits for the other.
 *
 * @param condition on the counters that are locked
 * @returns bindings of the locked counters
 */
async function lockCountersForDeletion(
  tx: Tx,
  namespaceId: Id<"ns">,
  bindingIds: readonly Id<"bnd">[],
  condition = sql<boolean>`true`,
): Promise<readonly Id<"bnd">[]> {
  const rows = await tx
    .selectFrom("counters")
    .select("binding_id")
    .where("namespace_id", "=", namespaceId)
    .where("binding_id", "=", sql<Id<"bnd">>`any(${bindingIds})`)
    .where(condition)
    .orderBy("binding_id")
    .forUpdate()
    .execute();
  return rows.map((row) => row.binding_id);
}

export function selectBindings(tx: Tx, namespaceId: Id<"ns">) {
  return tx.selectFrom("bindings").selectAll().where("namespace_id", "=", namespaceId);
}
