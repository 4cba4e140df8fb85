import type { Transaction } from "@routeplane/postgres";
import { requireCurrentToken } from "../domain/rotation.ts";
import type { AuthSchema } from "./schema.ts";

/**
 * Locks on the token of a caller that changes credentials, held until the end of the transaction: a rotation of that token
 * comes either before, and the call is refused, or after. Lock order: the credential that is changed, if any, then the token.
 */

/** Locks the calling key's token, in its namespace. @throws DomainError as `requireCurrentToken` */
export async function lockKeyToken(tx: Transaction<AuthSchema>, lookupId: string): Promise<void> {
  const secret = tx.selectFrom("key_secrets").select("expires_at").where("lookup_id", "=", lookupId).forNoKeyUpdate();
  requireCurrentToken("key", (await secret.executeTakeFirst())?.expires_at ?? undefined);
}

/** Locks the calling operator's token, in the whole node. @throws DomainError as `requireCurrentToken` */
export async function lockOperatorToken(tx: Transaction<AuthSchema>, lookupId: string): Promise<void> {
  const secrets = tx.selectFrom("operator_secrets").select("expires_at").where("lookup_id", "=", lookupId);
  requireCurrentToken("operator", (await secrets.forNoKeyUpdate().executeTakeFirst())?.expires_at ?? undefined);
}
