import type { Database } from "@routeplane/postgres";
import type { SecretStore } from "../domain/ports.ts";
import { selectLineage } from "./key-store.ts";
import { selectOperatorLineage } from "./operator-store.ts";
import { fromSecretColumns } from "./rows.ts";
import type { AuthSchema } from "./schema.ts";

/** Sees nothing but the rows of the one lookup id that it was asked for, until its secret is proven. */
export function createSecretStore(database: Database<AuthSchema>): SecretStore {
  return {
    findKey: (lookupId, proves) =>
      database.within({ lookupId }, async (tx, enter) => {
        const row = await tx.selectFrom("key_secrets").selectAll().where("lookup_id", "=", lookupId).executeTakeFirst();
        if (row === undefined || !proves(fromSecretColumns(row))) return undefined;
        await enter({ namespaceId: row.namespace_id });
        const lineage = await selectLineage(tx, row.key_id);
        return lineage && { lineage, secretEndsAt: row.expires_at ?? undefined };
      }),

    findOperator: (lookupId, proves) =>
      database.within({ lookupId }, async (tx, enter) => {
        const secrets = tx.selectFrom("operator_secrets").selectAll();
        const row = await secrets.where("lookup_id", "=", lookupId).executeTakeFirst();
        if (row === undefined || !proves(fromSecretColumns(row))) return undefined;
        await enter({ node: true });
        const lineage = await selectOperatorLineage(tx, row.operator_id);
        return lineage && { lineage, secretEndsAt: row.expires_at ?? undefined };
      }),
  };
}
