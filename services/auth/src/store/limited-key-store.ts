import { DomainError, notFound } from "@routeplane/domain";
import type { Database, Transaction } from "@routeplane/postgres";
import { sql } from "kysely";
import type { Key } from "../domain/keys/key.ts";
import type { LimitedKeyStore } from "../domain/ports.ts";
import { insertKey, selectKeyLineage } from "./key-store.ts";
import type { AuthSchema } from "./schema.ts";
import { lockKeyToken, lockOperatorToken } from "./token-lock.ts";

type Tx = Transaction<AuthSchema>;

/** Time for which a mint is in progress, by the clock of the database: longer than any call to the policy service. */
const MINT_TIME = sql<Date>`now() + interval '1 minute'`;
/** Time after the expiry of a key until no process accepts it any more, although clocks differ. */
const EXPIRED_AFTER_MS = 60_000;

/**
 * Postgres store of keys that are minted with limits. The row of a mint decides between its completion and its end, which both
 * write it under its lock: exactly one of them happens.
 */
export function createLimitedKeyStore(database: Database<AuthSchema>): LimitedKeyStore {
  return {
    beginSubKey: (caller, build) =>
      database.within({ namespaceId: caller.namespaceId }, async (tx, enter) => {
        await lockKeyToken(tx, enter, caller);
        const parent = await selectKeyLineage(tx, caller.keyId);
        if (parent === undefined) throw notFound();
        const key = build(parent);
        await begin(tx, key);
        return key;
      }),

    beginRootKey: (key) => database.within({ namespaceId: key.namespaceId }, (tx) => begin(tx, key)),

    completeSubKey: (caller, key, secret) =>
      database.within({ namespaceId: key.namespaceId }, async (tx, enter) => {
        await lockKeyToken(tx, enter, caller);
        await complete(tx, key);
        await insertKey(tx, key, secret);
      }),

    completeRootKey: (operator, key, secret) =>
      database.within({ node: true }, async (tx, enter) => {
        await lockOperatorToken(tx, operator);
        await enter({ namespaceId: key.namespaceId });
        await complete(tx, key);
        await insertKey(tx, key, secret);
      }),

    findMint: (namespaceId, keyId) =>
      database.within({ namespaceId }, (tx) =>
        tx
          .selectFrom("limited_keys")
          .select(["lineage", "origin"])
          .where("namespace_id", "=", namespaceId)
          .where("key_id", "=", keyId)
          .where("minted_at", "is", null)
          .where("ended_at", "is", null)
          .where("ends_at", ">", sql<Date>`now()`)
          .executeTakeFirst(),
      ),
  };
}

async function begin(tx: Tx, { namespaceId, id, lineage }: Key): Promise<void> {
  await tx
    .insertInto("limited_keys")
    .values({ namespace_id: namespaceId, key_id: id, lineage: [...lineage], ends_at: MINT_TIME })
    .execute();
}

/** Completes the mint, so that it can no longer end as not completed. @throws DomainError UNAVAILABLE if it took too long */
async function complete(tx: Tx, { namespaceId, id, expiresAt }: Key): Promise<void> {
  const inProgress = sql<boolean>`namespace_id = ${namespaceId} and key_id = ${id}
    and minted_at is null and ended_at is null and ends_at > now()`;
  const endsAt = expiresAt && new Date(expiresAt.getTime() + EXPIRED_AFTER_MS);
  const { rows } =
    endsAt === undefined
      ? await sql`delete from limited_keys where ${inProgress} returning key_id`.execute(tx)
      : await sql`update limited_keys set minted_at = now(), ends_at = ${endsAt} where ${inProgress}
          returning key_id`.execute(tx);
  if (rows.length > 0) return;
  const message = "the limits of the key were not bound in time, so no key was minted; try again";
  throw new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, { metadata: { dependency: "policy" } });
}
