import { type Id, notFound } from "@routeplane/domain";
import type { Database, Transaction } from "@routeplane/postgres";
import { sql } from "kysely";
import type { Key, KeyLineage } from "../domain/keys/key.ts";
import { lastOf } from "../domain/grant-rules.ts";
import type { NamespaceState } from "../domain/namespaces/namespace.ts";
import type { KeyStore } from "../domain/ports.ts";
import type { Rotation } from "../domain/rotation.ts";
import type { StoredSecret } from "../domain/secret.ts";
import {
  secretsEndedBy,
  fromKeyRow,
  toChangeableKeyColumns,
  toKeyRow,
  toPage,
  toSecretColumns,
} from "./convert-rows.ts";
import type { AuthSchema } from "./schema.ts";
import { endSessions, lockSessions } from "./session-rotation.ts";
import { lockKeyToken, lockOperatorToken } from "./token-lock.ts";

export function createKeyStore(database: Database<AuthSchema>): KeyStore {
  return {
    addSubKey: (caller, secret, build) =>
      database.within({ namespaceId: caller.namespaceId }, async (tx, enter) => {
        await lockKeyToken(tx, enter, caller);
        // The lineage is not locked: a revocation or narrowing above at this moment takes effect on the new key at every use.
        const parent = await selectKeyLineage(tx, caller.keyId);
        if (parent === undefined) throw notFound();
        const key = build(parent);
        await insertKey(tx, key, secret);
        return key;
      }),

    addRootKey: (operator, key, secret) =>
      database.within({ node: true }, async (tx, enter) => {
        await lockOperatorToken(tx, operator);
        await enter({ namespaceId: key.namespaceId });
        await insertKey(tx, key, secret);
      }),

    find: (namespaceId, keyId) =>
      database.within({ namespaceId }, async (tx) => {
        const row = await selectKeys(tx).where("k.id", "=", keyId).executeTakeFirst();
        return row && fromKeyRow(row);
      }),

    findLineage: (namespaceId, keyId) => database.within({ namespaceId }, (tx) => selectKeyLineage(tx, keyId)),

    list: (namespaceId, page) =>
      database.within({ namespaceId }, async (tx) => {
        const all = selectKeys(tx)
          .orderBy("k.id")
          .limit(page.size + 1);
        const rows = await (page.after === undefined ? all : all.where("k.id", ">", page.after)).execute();
        return toPage(rows.map(fromKeyRow), page);
      }),

    change: (caller, keyId, decide) =>
      database.within({ namespaceId: caller.namespaceId }, async (tx, enter) => {
        // Locked before it is read, so that a change sees the result of the one before it.
        const lock = tx.selectFrom("keys").select("id").where("id", "=", keyId).forNoKeyUpdate();
        if ((await lock.executeTakeFirst()) === undefined) return undefined;
        await lockKeyToken(tx, enter, caller);
        const lineage = await selectKeyLineage(tx, keyId);
        if (lineage === undefined) return undefined;
        const { key, rotation } = decide(lineage);
        const opened = sql<boolean>`key_id = ${keyId} and operator_id is null`;
        if (rotation?.endsAll === true) await lockSessions(tx, opened);
        // Secrets first, so that no transaction waits for a secret while it holds the lock of the change counter.
        if (rotation !== undefined) await replaceSecrets(tx, key, rotation);
        if (rotation?.endsAll === true) await endSessions(tx, opened, rotation.graceEndsAt);
        if (key !== lastOf(lineage)) {
          await tx.updateTable("keys").set(toChangeableKeyColumns(key)).where("id", "=", keyId).execute();
        }
        return key;
      }),

    touch: (namespaceId, keyId, usedAt, resolutionMs) =>
      database.within({ namespaceId }, async (tx) => {
        // Skips a locked row instead of waiting: either another use is being recorded, or the key is being changed and its next use will be
        // recorded.
        const recordedBefore = new Date(usedAt.getTime() - resolutionMs);
        await sql`update keys set last_used_at = ${usedAt}
                  where id = (select id from keys where id = ${keyId} for no key update skip locked)
                    and (last_used_at is null or last_used_at <= ${recordedBefore})`.execute(tx);
      }),
  };
}

const namespaceState = sql<NamespaceState>`case
  when n.deleted_at is not null then 'deleted' when n.suspended_at is not null then 'suspended' else 'active' end`;

/** Selects keys of the transaction's namespace: row-level security adds the filter. */
function selectKeys(tx: Transaction<AuthSchema>) {
  return tx
    .selectFrom("keys as k")
    .innerJoin("namespaces as n", "n.id", "k.namespace_id")
    .selectAll("k")
    .select(["n.account_id", namespaceState.as("namespace_state")]);
}

/** A key of the transaction's namespace and all above it; undefined if there is no such key. */
export async function selectKeyLineage(tx: Transaction<AuthSchema>, keyId: Id<"key">): Promise<KeyLineage | undefined> {
  const path = tx
    .selectFrom("keys")
    .select(sql<Id<"key">>`unnest(lineage)`.as("id"))
    .where("id", "=", keyId);
  const rows = await selectKeys(tx)
    .where("k.id", "in", path)
    .orderBy(sql`cardinality(k.lineage)`)
    .execute();
  const [root, ...below] = rows.map(fromKeyRow);
  return root && [root, ...below];
}

/** Inserts a key and its first secret. */
export async function insertKey(tx: Transaction<AuthSchema>, key: Key, secret: StoredSecret): Promise<void> {
  await tx.insertInto("keys").values(toKeyRow(key)).execute();
  await insertSecret(tx, key, secret);
}

async function replaceSecrets(tx: Transaction<AuthSchema>, key: Key, rotation: Rotation): Promise<void> {
  const { secret, graceEndsAt } = rotation;
  await tx
    .updateTable("key_secrets")
    .set({ expires_at: graceEndsAt })
    .where("key_id", "=", key.id)
    .where(secretsEndedBy(rotation))
    .execute();
  await insertSecret(tx, key, secret);
}

async function insertSecret(tx: Transaction<AuthSchema>, key: Key, secret: StoredSecret): Promise<void> {
  const owner = { namespace_id: key.namespaceId, key_id: key.id };
  await tx
    .insertInto("key_secrets")
    .values({ ...owner, ...toSecretColumns(secret), expires_at: null })
    .execute();
}
