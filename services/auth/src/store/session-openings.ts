import type { Id } from "@routeplane/domain";
import type { Enter, Transaction } from "@routeplane/postgres";
import { sql } from "kysely";
import { lastOf } from "../domain/grant-rules.ts";
import type { KeyLineage } from "../domain/keys/key.ts";
import type { OperatorLineage } from "../domain/operators/operator.ts";
import type { SessionOpener } from "../domain/ports.ts";
import { newConsoleKey } from "../domain/sessions/console-key.ts";
import { SESSION_MS, type SessionLineages } from "../domain/sessions/session.ts";
import type { SessionCounts } from "../domain/sessions/session-quota.ts";
import { toKeyRow } from "./convert-rows.ts";
import { selectKeyLineage } from "./key-store.ts";
import { selectOperatorLineage } from "./operator-store.ts";
import type { AuthSchema } from "./schema.ts";

type Tx = Transaction<AuthSchema>;

/** Time for which a session is kept after its expiry. */
const KEPT_MS = 30 * 86_400_000;
/** Maximum number of old rows that one call removes: more than it adds, so that their number stays bounded. */
const MAX_REMOVED = 100;

/** Locks the credential that opens a session, until the end of the transaction: its openings come one after the other. */
export async function lockOpener(tx: Tx, opener: SessionOpener): Promise<void> {
  if (opener.kind === "key") {
    await tx.selectFrom("keys").select("id").where("id", "=", opener.keyId).forNoKeyUpdate().execute();
  } else {
    await tx.selectFrom("operators").select("id").where("id", "=", opener.operatorId).forNoKeyUpdate().execute();
  }
}

/** Scope in which an opener is locked, with its token. */
export function scopeOf(opener: SessionOpener) {
  return opener.kind === "key" ? { namespaceId: opener.namespaceId } : ({ node: true } as const);
}

/**
 * Enters the scope of a new session, and reads the lineages that it depends on. Mints a console key that is missing. Undefined if the
 * opener does not exist.
 */
export async function enterSession(
  tx: Tx,
  enter: Enter,
  opener: SessionOpener,
  now: number,
): Promise<SessionLineages | undefined> {
  if (opener.kind === "key") {
    await enter({ namespaceId: opener.namespaceId, node: true });
    const key = await selectKeyLineage(tx, opener.keyId);
    return key && { key, operator: undefined };
  }
  const { namespace } = opener;
  await enter({ node: true, ...(namespace && { namespaceId: namespace.namespaceId }) });
  const operator = await selectOperatorLineage(tx, opener.operatorId);
  if (operator === undefined) return undefined;
  if (namespace === undefined) return { key: undefined, operator };
  return { key: await consoleKeyOf(tx, operator, namespace, now), operator };
}

/** Finds the console key of an operator credential in the transaction's namespace. Mints it if it is missing or revoked. */
async function consoleKeyOf(
  tx: Tx,
  operator: OperatorLineage,
  namespace: Parameters<typeof newConsoleKey>[0],
  now: number,
): Promise<KeyLineage> {
  const { id: operatorId } = lastOf(operator);
  const owner = { namespace_id: namespace.namespaceId, operator_id: operatorId };
  const key = newConsoleKey(namespace, lastOf(operator), now);
  // The row is inserted first: of several transactions, one mints the key, and the others wait for it.
  const taken = tx
    .insertInto("console_keys")
    .values({ ...owner, key_id: key.id })
    .onConflict((on) => on.doNothing());
  const { numInsertedOrUpdatedRows = 0n } = await taken.executeTakeFirstOrThrow();
  if (numInsertedOrUpdatedRows === 0n) {
    const existing = tx.selectFrom("console_keys").select("key_id").where("operator_id", "=", operatorId);
    const { key_id: keyId } = await existing.forUpdate().executeTakeFirstOrThrow();
    const lineage = await selectKeyLineage(tx, keyId);
    if (lineage !== undefined && lastOf(lineage).revokedAt === undefined) return lineage;
    await tx.updateTable("console_keys").set({ key_id: key.id }).where("operator_id", "=", operatorId).execute();
  }
  await tx.insertInto("keys").values(toKeyRow(key)).execute();
  const lineage = await selectKeyLineage(tx, key.id);
  if (lineage === undefined) throw new Error("a key that was just minted is not there");
  return lineage;
}

/** Removes sessions that expired long ago, and counts those of the opener. */
export async function countSessions(tx: Tx, opener: SessionOpener, now: number): Promise<SessionCounts> {
  const keptFrom = new Date(now - KEPT_MS);
  await sql`delete from sessions where (namespace_id, id) in (
      select namespace_id, id from sessions where expires_at < ${keptFrom}
      order by expires_at limit ${MAX_REMOVED} for update skip locked
    )`.execute(tx);
  const isLive = sql<boolean>`revoked_at is null and expires_at > ${new Date(now)}`;
  // Sessions that were opened earlier have expired.
  const recent = tx
    .selectFrom("sessions")
    .select((is) => [is.fn.countAll<string>().as("opened"), is.fn.countAll<string>().filterWhere(isLive).as("live")])
    .where("created_at", ">", new Date(now - SESSION_MS));
  const own =
    opener.kind === "key"
      ? recent.where("key_id", "=", opener.keyId).where("operator_id", "is", null)
      : recent.where("operator_id", "=", opener.operatorId);
  const { opened, live } = await own.executeTakeFirstOrThrow();
  return { opened: Number(opened), live: Number(live) };
}

/** Removes codes that have expired, and counts those of the opener that have not. */
export async function countCodes(tx: Tx, opener: SessionOpener, now: number): Promise<number> {
  await sql`delete from sign_in_codes where (namespace_id, code_hash) in (
      select namespace_id, code_hash from sign_in_codes where expires_at <= ${new Date(now)}
      order by expires_at limit ${MAX_REMOVED} for update skip locked
    )`.execute(tx);
  const open = tx
    .selectFrom("sign_in_codes")
    .select((is) => is.fn.countAll<string>().as("count"))
    .where("expires_at", ">", new Date(now));
  const own =
    opener.kind === "key" ? open.where("key_id", "=", opener.keyId) : open.where("operator_id", "=", opener.operatorId);
  const { count } = await own.executeTakeFirstOrThrow();
  return Number(count);
}

/** The opener of a sign-in code. */
export function fromCodeRow(row: {
  readonly namespace_id: Id<"ns"> | "";
  readonly account_id: Id<"acc"> | null;
  readonly key_id: Id<"key"> | null;
  readonly operator_id: Id<"op"> | null;
}): SessionOpener {
  const { namespace_id: namespaceId, account_id: accountId, key_id: keyId, operator_id: operatorId } = row;
  if (keyId !== null && namespaceId !== "") return { kind: "key", namespaceId, keyId };
  if (operatorId === null) throw new Error("a sign-in code has no opener");
  const namespace = namespaceId === "" || accountId === null ? undefined : { namespaceId, accountId };
  return {
    kind: "operator",
    operatorId,
    accountId: namespace === undefined ? (accountId ?? undefined) : undefined,
    namespace,
  };
}
