import type { Id } from "@routeplane/domain";
import type { Enter, Transaction } from "@routeplane/postgres";
import { sql } from "kysely";
import { requireUnrevoked } from "../domain/operators/operator.ts";
import { requireCurrentToken } from "../domain/rotation.ts";
import type { TokenHolder } from "../domain/secret.ts";
import { requireLiveSession } from "../domain/sessions/session-bound.ts";
import type { AuthSchema } from "./schema.ts";

/**
 * Locks on the token of a caller that changes credentials, and on the operator credentials behind it, held until the end of the
 * transaction: a rotation of that token or a revocation of such a credential comes either before, and the call is refused, or after.
 *
 * Lock order: the credential that is changed, if any, the operator credentials from the lowest one up, then the token.
 */

/**
 * Locks the calling key's token, in its namespace.
 *
 * @throws DomainError as `requireCurrentToken`, `requireLiveSession` and `requireUnrevoked`
 */
export async function lockKeyToken(
  tx: Transaction<AuthSchema>,
  enter: Enter,
  { namespaceId, lookupId, sessionId, operatorLineage = [] }: TokenHolder & { readonly namespaceId: Id<"ns"> },
): Promise<void> {
  if (operatorLineage.length > 0) {
    await enter({ namespaceId, node: true });
    await lockOperators(tx, operatorLineage);
    await enter({ namespaceId });
  }
  if (sessionId !== undefined) return lockSession(tx, sessionId);
  const secret = tx.selectFrom("key_secrets").select("expires_at").where("lookup_id", "=", lookupId).forNoKeyUpdate();
  requireCurrentToken("key", (await secret.executeTakeFirst())?.expires_at ?? undefined);
}

/** Locks the calling operator's token, in the whole node. @throws DomainError as `lockKeyToken` */
export async function lockOperatorToken(
  tx: Transaction<AuthSchema>,
  { lookupId, sessionId, operatorLineage = [] }: TokenHolder,
): Promise<void> {
  await lockOperators(tx, operatorLineage);
  if (sessionId !== undefined) return lockSession(tx, sessionId);
  const secrets = tx.selectFrom("operator_secrets").select("expires_at").where("lookup_id", "=", lookupId);
  requireCurrentToken("operator", (await secrets.forNoKeyUpdate().executeTakeFirst())?.expires_at ?? undefined);
}

/** Locks operator credentials against their revocation, in the whole node. @throws DomainError as `requireUnrevoked` */
async function lockOperators(tx: Transaction<AuthSchema>, lineage: readonly Id<"op">[]): Promise<void> {
  const rows = await tx
    .selectFrom("operators")
    .select("revoked_at")
    .where("id", "in", lineage)
    .orderBy(sql`cardinality(lineage)`, "desc")
    .forShare()
    .execute();
  requireUnrevoked(rows.map((row) => ({ revokedAt: row.revoked_at ?? undefined })));
}

/** Locks the calling session, in its namespace or the whole node. @throws DomainError UNAUTHENTICATED if it has ended */
async function lockSession(tx: Transaction<AuthSchema>, sessionId: Id<"ses">): Promise<void> {
  const session = tx.selectFrom("sessions").select("revoked_at").where("id", "=", sessionId).forNoKeyUpdate();
  const row = await session.executeTakeFirst();
  requireLiveSession(row && { revokedAt: row.revoked_at ?? undefined });
}
