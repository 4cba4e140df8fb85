import type { Database } from "@routeplane/postgres";
import type { SecretStore } from "../domain/ports.ts";
import { fromOperatorRow, fromSecretColumns } from "./rows.ts";
import type { AuthSchema } from "./schema.ts";

/** Sees nothing but the rows of the one lookup id that it was asked for. */
export function createSecretStore(database: Database<AuthSchema>): SecretStore {
  return {
    findKeySecret: (lookupId) =>
      database.within({ lookupId }, async (tx) => {
        const row = await tx.selectFrom("key_secrets").selectAll().where("lookup_id", "=", lookupId).executeTakeFirst();
        return row && { namespaceId: row.namespace_id, keyId: row.key_id, secret: fromSecretColumns(row) };
      }),

    findOperator: (lookupId) =>
      database.within({ lookupId }, async (tx) => {
        const row = await tx.selectFrom("operators").selectAll().where("lookup_id", "=", lookupId).executeTakeFirst();
        return row && { operator: fromOperatorRow(row), secret: fromSecretColumns(row) };
      }),
  };
}
