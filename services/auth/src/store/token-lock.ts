import type { Transaction } from "@routeplane/postgres";
import type { Id } from "@routeplane/domain";
import { requireCurrentToken } from "../domain/rotation.ts";
import { requireLiveSession } from "../domain/sessions/session-bound.ts";
import type { TokenHolder } from "../domain/secret.ts";
import type { AuthSchema } from "./schema.ts";

/**
 * Locks on the token of a caller that changes credentials, held until the end of the transaction: a rotation of that token
 * comes either before, and the call is refused, or after. Lock order: the credential that is changed, if any, then the token.
 */

/** Locks the calling key's token, in its namespace. @throws DomainError as `requireCurrentToken` */
export async function lockKeyToken(tx: Transaction<AuthSchema>, { lookupId, sessionId }: TokenHolder): Promise<void> {
  if (sessionId !== undefined) return lockSession(tx, sessionId);
  const secret = tx.selectFrom("key_secrets").select("expires_at").where("lookup_id", "=", lookupId).forNoKeyUpdate();
  requireCurrentToken("key", (await secret.executeTakeFirst())?.expires_at ?? undefined);
}

/** Locks the calling operator's token, in the whole node. @throws DomainError as `requireCurrentToken` */
export async function lockOperatorToken(
  tx: Transaction<AuthSchema>,
  { lookupId, sessionId }: TokenHolder,
): Promise<void> {
  if (sessionId !== undefined) return lockSession(tx, sessionId);
  const secrets = tx.selectFrom("operator_secrets").select("expires_at").where("lookup_id", "=", lookupId);
  requireCurrentToken("operator", (await secrets.forNoKeyUpdate().executeTakeFirst())?.expires_at ?? undefined);
}

/** Locks the calling session, in its namespace or the whole node. @throws DomainError UNAUTHENTICATED if it has ended */
async function lockSession(tx: Transaction<AuthSchema>, sessionId: Id<"ses">): Promise<void> {
  const session = tx.selectFrom("sessions").select("revoked_at").where("id", "=", sessionId).forNoKeyUpdate();
  const row = await session.executeTakeFirst();
  requireLiveSession(row && { revokedAt: row.revoked_at ?? undefined });
}
