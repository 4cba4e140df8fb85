import type { Id } from "@routeplane/domain";
import type { Transaction } from "@routeplane/postgres";
import type { Selectable } from "kysely";
import type { StoredSecret } from "../domain/secret.ts";
import type { NamedSession, Session, SessionLineages } from "../domain/sessions/session.ts";
import { toSecretColumns } from "./convert-rows.ts";
import { selectKeyLineage } from "./key-store.ts";
import { selectOperatorLineage } from "./operator-store.ts";
import type { AuthSchema } from "./schema.ts";

type SessionRow = Selectable<AuthSchema["sessions"]> & { namespace_name: string | null };

export function fromSessionRow(row: SessionRow): NamedSession {
  return {
    id: row.id,
    namespaceId: row.namespace_id === "" ? undefined : row.namespace_id,
    namespaceName: row.namespace_name ?? undefined,
    accountId: row.account_id ?? undefined,
    keyId: row.key_id ?? undefined,
    operatorId: row.operator_id ?? undefined,
    name: row.name,
    scopes: row.scopes,
    operatorScopes: row.operator_scopes ?? undefined,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at ?? undefined,
    endedBy: row.ended_by ?? undefined,
    address: row.address,
  };
}

function toSessionRow(session: Session, secret: StoredSecret) {
  return {
    namespace_id: session.namespaceId ?? ("" as const),
    id: session.id,
    account_id: session.accountId ?? null,
    key_id: session.keyId ?? null,
    operator_id: session.operatorId ?? null,
    name: session.name,
    scopes: [...session.scopes],
    operator_scopes: session.operatorScopes === undefined ? null : [...session.operatorScopes],
    ...toSecretColumns(secret),
    created_at: session.createdAt,
    expires_at: session.expiresAt,
    address: session.address,
    ...toChangeableSessionColumns(session),
  };
}

/** Columns that a change of a session can touch. */
export function toChangeableSessionColumns({ revokedAt, endedBy }: Pick<Session, "revokedAt" | "endedBy">) {
  return { revoked_at: revokedAt ?? null, ended_by: endedBy ?? null };
}

/** Selects sessions that the transaction sees, with the names of their namespaces. */
export function selectSessions(tx: Transaction<AuthSchema>) {
  return tx
    .selectFrom("sessions as s")
    .leftJoin("namespaces as n", "n.id", "s.namespace_id")
    .selectAll("s")
    .select("n.name as namespace_name");
}

export async function selectSession(
  tx: Transaction<AuthSchema>,
  sessionId: Id<"ses">,
): Promise<NamedSession | undefined> {
  const row = await selectSessions(tx).where("s.id", "=", sessionId).executeTakeFirst();
  return row && fromSessionRow(row);
}

/** Inserts a session in its scope, and returns it with the name of its namespace. */
export async function insertSession(
  tx: Transaction<AuthSchema>,
  session: Session,
  secret: StoredSecret,
): Promise<NamedSession> {
  await tx.insertInto("sessions").values(toSessionRow(session, secret)).execute();
  const { namespaceId } = session;
  if (namespaceId === undefined) return { ...session, namespaceName: undefined };
  const row = await tx.selectFrom("namespaces").select("name").where("id", "=", namespaceId).executeTakeFirst();
  return { ...session, namespaceName: row?.name };
}

/** The lineages of a session in a transaction of its namespace and the whole node; undefined if one of them does not exist. */
export async function selectSessionLineages(
  tx: Transaction<AuthSchema>,
  { keyId, operatorId }: Pick<Session, "keyId" | "operatorId">,
): Promise<SessionLineages | undefined> {
  const operator = operatorId && (await selectOperatorLineage(tx, operatorId));
  if (operatorId !== undefined && operator === undefined) return undefined;
  if (keyId === undefined) return operator && { key: undefined, operator };
  const key = await selectKeyLineage(tx, keyId);
  return key && { key, operator };
}
