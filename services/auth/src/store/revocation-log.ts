import type { Id } from "@routeplane/domain";
import type { Database, Transaction } from "@routeplane/postgres";
import { type Selectable, sql } from "kysely";
import type { RevocationLog } from "../domain/ports.ts";
import type { AuthSchema } from "./schema.ts";

/** Maximum number of keys with limits that one call ends. */
const MAX_ENDED = 1_000;

type EndedKeyRow = Selectable<AuthSchema["revoked_keys"]>;

export function createRevocationLog(database: Database<AuthSchema>): RevocationLog {
  return {
    list: ({ namespaceId, keyId }, size) =>
      database.within({ node: true }, async (tx) => {
        await endLimitedKeys(tx);
        const { rows } = await sql<EndedKeyRow>`
          select distinct on (namespace_id, key_id) namespace_id, key_id, revoked_at, origin from (
            select namespace_id, key_id, revoked_at, origin from revoked_keys
            union all
            select namespace_id, key_id, ended_at, '{}' from limited_keys where ended_at is not null
          ) as ended
          where (namespace_id, key_id) > (${namespaceId}, ${keyId})
          order by namespace_id, key_id, revoked_at limit ${size}`.execute(tx);
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
        await tx
          .deleteFrom("limited_keys")
          .where("key_id", "=", sql<Id<"key">>`any(${keyIds})`)
          .where("ended_at", "is not", null)
          .execute();
      }),
  };
}

/**
 * Ends mints that were not completed in time, and keys with limits that have expired: at most `MAX_ENDED`, and the others at the next call.
 */
async function endLimitedKeys(tx: Transaction<AuthSchema>): Promise<void> {
  // A row whose mint is being completed at this moment is locked, and is skipped.
  await sql`update limited_keys set ended_at = now() where (namespace_id, key_id) in (
      select namespace_id, key_id from limited_keys where ended_at is null and ends_at <= now()
      order by ends_at limit ${MAX_ENDED} for update skip locked
    )`.execute(tx);
}
