import { type Id, notFound } from "@routeplane/domain";
import type { Database, Enter, Transaction } from "@routeplane/postgres";
import { currentOrigin, onBehalfOf, type Origin } from "@routeplane/runtime";
import { sql } from "kysely";
import type { NewSignInCode, SessionOpener, SessionStore } from "../domain/ports.ts";
import { requireLiveSession } from "../domain/sessions/session-bound.ts";
import { requireRoomForCode, requireRoomForSession } from "../domain/sessions/session-quota.ts";
import { endedSession, type Session } from "../domain/sessions/session.ts";
import type { TokenHolder } from "../domain/secret.ts";
import { toPage } from "./convert-rows.ts";
import type { AuthSchema } from "./schema.ts";
import { countCodes, countSessions, enterSession, fromCodeRow, lockOpener, scopeOf } from "./session-openings.ts";
import {
  fromSessionRow,
  insertSession,
  selectSession,
  selectSessionLineages,
  selectSessions,
  toChangeableSessionColumns,
} from "./session-rows.ts";
import { lockKeyToken, lockOperatorToken } from "./token-lock.ts";

type Tx = Transaction<AuthSchema>;

/**
 * Postgres store of sessions and sign-in codes.
 *
 * Lock order: the credential that opens a session, the caller's token or session, the console key, and last the change counter, with the
 * end of a session.
 */
export function createSessionStore(database: Database<AuthSchema>): SessionStore {
  return {
    open: ({ opener, secret, now, build }, caller) =>
      database.within(scopeOf(opener), async (tx, enter) => {
        await lockOpener(tx, opener);
        await lockTokenOf(tx, enter, opener, caller);
        const lineages = await requireLineages(tx, enter, opener, now);
        const session = build(lineages);
        requireRoomForSession(await countSessions(tx, opener, now));
        return insertSession(tx, session, secret);
      }),

    exchange: (sessionId, { opener, secret, now, build }) =>
      database.within(scopeOf(opener), async (tx, enter) => {
        await lockOpener(tx, opener);
        await tx.selectFrom("sessions").select("id").where("id", "=", sessionId).forNoKeyUpdate().execute();
        const replaced = await selectSession(tx, sessionId);
        requireLiveSession(replaced);
        if (replaced === undefined) throw notFound();
        return onBehalfOf(originOfSession(replaced), async () => {
          const lineages = await requireLineages(tx, enter, opener, now);
          const next = build(lineages, replaced);
          const { opened, live } = await countSessions(tx, opener, now);
          requireRoomForSession({ opened, live: live - 1 });
          const session = await insertSession(tx, next, secret);
          const columns = toChangeableSessionColumns(endedSession(replaced, "exchange", now));
          await tx.updateTable("sessions").set(columns).where("id", "=", sessionId).execute();
          return session;
        });
      }),

    addCode: ({ opener, now, check, hash, expiresAt }, caller) =>
      database.within(scopeOf(opener), async (tx, enter) => {
        await lockOpener(tx, opener);
        await lockTokenOf(tx, enter, opener, caller);
        check(await lineagesWithoutMint(tx, enter, opener, now));
        requireRoomForCode(await countCodes(tx, opener, now));
        await tx.insertInto("sign_in_codes").values(toCodeRow({ opener, hash, expiresAt })).execute();
      }),

    redeem: (hash, { secret, now, build }) =>
      database.within({ node: true }, async (tx, enter) => {
        const code = await tx.selectFrom("sign_in_codes").selectAll().where("code_hash", "=", hash).executeTakeFirst();
        if (code === undefined) return undefined;
        const opener = fromCodeRow(code);
        return onBehalfOf(originOf(opener, code.account_id ?? ""), async () => {
          await enter({ node: true, ...(code.namespace_id !== "" && { namespaceId: code.namespace_id }) });
          await lockOpener(tx, opener);
          const used = tx
            .deleteFrom("sign_in_codes")
            .where("code_hash", "=", hash)
            .where("expires_at", ">", new Date(now));
          const { numDeletedRows } = await used.executeTakeFirstOrThrow();
          if (numDeletedRows === 0n) return undefined;
          const lineages = await requireLineages(tx, enter, opener, now);
          const session = build(lineages);
          requireRoomForSession(await countSessions(tx, opener, now));
          return insertSession(tx, session, secret);
        });
      }),

    find: (view, sessionId, { ofKey }) =>
      database.within(view, async (tx) => {
        const one = selectSessions(tx).where("s.id", "=", sessionId);
        const seen = ofKey === undefined ? one : one.where("s.key_id", "in", keysBelow(tx, ofKey));
        const row = await seen.executeTakeFirst();
        return row && fromSessionRow(row);
      }),

    list: (view, page, { ofKey, liveAt }) =>
      database.within(view, async (tx) => {
        let query = selectSessions(tx)
          .orderBy("s.id")
          .limit(page.size + 1);
        if (page.after !== undefined) query = query.where("s.id", ">", page.after);
        if (liveAt !== undefined) {
          query = query.where("s.revoked_at", "is", null).where("s.expires_at", ">", new Date(liveAt));
        }
        if (ofKey !== undefined) query = query.where("s.key_id", "in", keysBelow(tx, ofKey));
        return toPage((await query.execute()).map(fromSessionRow), page);
      }),

    change: (view, sessionId, decide) =>
      database.within(view, async (tx, enter) => {
        // Locked before it is read, so that a change sees the result of the one before it.
        const lock = tx.selectFrom("sessions").select("namespace_id").where("id", "=", sessionId).forNoKeyUpdate();
        const locked = await lock.executeTakeFirst();
        if (locked === undefined) return undefined;
        await enter({ node: true, ...(locked.namespace_id !== "" && { namespaceId: locked.namespace_id }) });
        const before = await selectSession(tx, sessionId);
        const lineages = before && (await selectSessionLineages(tx, before));
        if (before === undefined || lineages === undefined) return undefined;
        const after = decide(before, lineages);
        if (after !== before) {
          await tx.updateTable("sessions").set(toChangeableSessionColumns(after)).where("id", "=", sessionId).execute();
        }
        return after;
      }),
  };
}

/** Locks the token by which an opener calls. @throws DomainError as `lockKeyToken` */
function lockTokenOf(tx: Tx, enter: Enter, opener: SessionOpener, caller: TokenHolder): Promise<void> {
  if (opener.kind === "operator") return lockOperatorToken(tx, caller);
  return lockKeyToken(tx, enter, { ...caller, namespaceId: opener.namespaceId });
}

/** Ids of a key and all below it. */
function keysBelow(tx: Tx, keyId: Id<"key">) {
  return tx
    .selectFrom("keys")
    .select("id")
    .where(sql<boolean>`${keyId} = any(lineage)`);
}

/**
 * Reads the lineages of a session that may never be opened: a console key that is missing is minted for the read, and rolled back.
 *
 * @throws DomainError as `requireLineages`
 */
async function lineagesWithoutMint(tx: Tx, enter: Enter, opener: SessionOpener, now: number) {
  await sql`savepoint before_mint`.execute(tx);
  const lineages = await requireLineages(tx, enter, opener, now);
  await sql`rollback to savepoint before_mint`.execute(tx);
  // The scope was rolled back too.
  const namespaceId = opener.kind === "key" ? opener.namespaceId : opener.namespace?.namespaceId;
  await enter({ node: true, ...(namespaceId && { namespaceId }) });
  return lineages;
}

/** @throws DomainError NOT_FOUND for an opener that does not exist */
async function requireLineages(tx: Tx, enter: Enter, opener: SessionOpener, now: number) {
  const lineages = await enterSession(tx, enter, opener, now);
  if (lineages === undefined) throw notFound();
  return lineages;
}

function toCodeRow({ opener, hash, expiresAt }: Pick<NewSignInCode, "opener" | "hash" | "expiresAt">) {
  const code = { code_hash: hash, expires_at: expiresAt };
  if (opener.kind === "key") {
    return { ...code, namespace_id: opener.namespaceId, account_id: null, key_id: opener.keyId, operator_id: null };
  }
  const { operatorId, accountId, namespace } = opener;
  const bound = {
    namespace_id: namespace?.namespaceId ?? ("" as const),
    account_id: namespace?.accountId ?? accountId ?? null,
  };
  return { ...code, ...bound, key_id: null, operator_id: operatorId };
}

/** Origin of an exchange, which the console may ask for with the token of the session. */
function originOfSession({ id, accountId }: Pick<Session, "id" | "accountId">): Origin {
  const { requestId = "", address = "" } = currentOrigin() ?? {};
  return { actorType: "session", actorId: id, accountId: accountId ?? "", requestId, address };
}

/** Origin of the changes of a sign-in with a code: the credential that made the code, from the address of the browser. */
function originOf(opener: SessionOpener, accountId: string): Origin {
  const { requestId = "", address = "" } = currentOrigin() ?? {};
  const actor =
    opener.kind === "key"
      ? ({ actorType: "api_key", actorId: opener.keyId } as const)
      : ({ actorType: "operator", actorId: opener.operatorId } as const);
  return { ...actor, accountId, requestId, address };
}
