import type { Id } from "@routeplane/domain";
import type { Database } from "@routeplane/postgres";
import { sql } from "kysely";
import type { RevocationLog } from "../domain/ports.ts";
import type { AuthSchema } from "./schema.ts";

export function createRevocationLog(database: Database<AuthSchema>): RevocationLog {
  return {
    list: ({ namespaceId, keyId }, size) =>
      database.within({ node: true }, async (tx) => {
        const rows = await tx
          .selectFrom("revoked_keys")
          .select(["namespace_id", "key_id", "revoked_at", "origin"])
          .where(sql<boolean>`(namespace_id, key_id) > (${namespaceId}, ${keyId})`)
          .orderBy("namespace_id")
          .orderBy("key_id")
          .limit(size)
          .execute();
        return rows.map((row) => ({
          namespaceId: row.namespace_id,
          keyId: row.key_id,
          revokedAt: row.revoked_at,
          origin: row.origin,
        }));
      }),

    acknowledge: (keyIds) =>
      database.within({ node: true }, async (tx) => {
        await tx
          .deleteFrom("revoked_keys")
          .where("key_id", "=", sql<Id<"key">>`any(${keyIds})`)
          .execute();
      }),
  };
}
