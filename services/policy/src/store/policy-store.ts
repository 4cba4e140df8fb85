import { DomainError } from "@routeplane/domain";
import { type Database, isUniqueViolation } from "@routeplane/postgres";
import type { PolicyStore } from "../domain/ports.ts";
import { fromBindingRow, fromPolicyRow, toBindingRow, toPolicyRow } from "./rows.ts";
import type { PolicySchema } from "./schema.ts";

export function createPolicyStore(database: Database<PolicySchema>): PolicyStore {
  return {
    async add(policy) {
      try {
        await database.within(policy, (tx) => tx.insertInto("policies").values(toPolicyRow(policy)).execute());
      } catch (error) {
        if (!isUniqueViolation(error, "policies_name_key")) throw error;
        const rule = "is taken by another policy of this namespace";
        throw new DomainError("already_exists", "NAME_TAKEN", `name: ${JSON.stringify(policy.name)} ${rule}`, {
          fields: [{ field: "name", rule }],
          metadata: { field: "name" },
        });
      }
    },

    find: (namespaceId, policyId) =>
      database.within({ namespaceId }, async (tx) => {
        const row = await tx
          .selectFrom("policies")
          .selectAll()
          .where("namespace_id", "=", namespaceId)
          .where("id", "=", policyId)
          .executeTakeFirst();
        return row && fromPolicyRow(row);
      }),

    list: (namespaceId, { kind, size, after }) =>
      database.within({ namespaceId }, async (tx) => {
        const rows = await tx
          .selectFrom("policies")
          .selectAll()
          .where("namespace_id", "=", namespaceId)
          .$if(kind !== undefined, (query) => query.where("kind", "=", kind ?? "budget"))
          .$if(after !== undefined, (query) => query.where("id", ">", after ?? null))
          .orderBy("id")
          .limit(size + 1)
          .execute();
        return { rows: rows.slice(0, size).map(fromPolicyRow), more: rows.length > size };
      }),

    bind: (binding) =>
      database.within(binding, async (tx) => {
        const { namespaceId, policyId, principal } = binding;
        const policy = await tx
          .selectFrom("policies")
          .select("kind")
          .where("namespace_id", "=", namespaceId)
          .where("id", "=", policyId)
          .executeTakeFirst();
        if (policy === undefined) return undefined;
        await tx
          .insertInto("bindings")
          .values(toBindingRow(binding))
          .onConflict((conflict) => conflict.constraint("bindings_principal_policy_key").doNothing())
          .execute();
        const row = await tx
          .selectFrom("bindings")
          .selectAll()
          .where("namespace_id", "=", namespaceId)
          .where("principal_id", "=", principal.id)
          .where("policy_id", "=", policyId)
          .executeTakeFirstOrThrow();
        if (policy.kind === "budget") {
          await tx
            .insertInto("budget_counters")
            .values({ namespace_id: namespaceId, binding_id: row.id, reserved_nano: 0n })
            .onConflict((conflict) => conflict.columns(["namespace_id", "binding_id"]).doNothing())
            .execute();
        }
        return fromBindingRow(row);
      }),
  };
}
