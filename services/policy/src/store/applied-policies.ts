import type { Database } from "@routeplane/postgres";
import type { AppliedPolicies } from "../domain/ports.ts";
import { fromPrincipalColumns } from "./convert-rows.ts";
import type { PolicySchema } from "./schema.ts";
import { fromSpecColumns } from "./convert-spec.ts";

export function createAppliedPolicies(database: Database<PolicySchema>): AppliedPolicies {
  return {
    of: (namespaceId, lineage) =>
      database.within({ namespaceId }, async (tx) => {
        const rows = await tx
          .selectFrom("bindings as b")
          .innerJoin("policies as p", (join) =>
            join.onRef("p.namespace_id", "=", "b.namespace_id").onRef("p.id", "=", "b.policy_id"),
          )
          .select(["b.id as binding_id", "b.principal_type", "b.principal_id", "b.mode"])
          .select(["p.id as policy_id", "p.name", "p.kind", "p.spec"])
          .where("b.namespace_id", "=", namespaceId)
          .where("b.principal_id", "in", [namespaceId, ...lineage])
          .where("p.disabled_at", "is", null)
          .orderBy("b.id")
          .execute();
        return rows.map((row) => ({
          policyId: row.policy_id,
          policyName: row.name,
          bindingId: row.binding_id,
          principal: fromPrincipalColumns(row),
          mode: row.mode,
          spec: fromSpecColumns(row.policy_id, row),
        }));
      }),
  };
}
