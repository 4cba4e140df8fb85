import { scopesBeyond } from "@routeplane/credentials";
import { DomainError, type Id } from "@routeplane/domain";

/**
 * Requires that a token holds no more scopes than the session that is about to receive it. Besides the scopes of its credential, the own
 * scopes of a session bound the tokens that it mints and rotates. Callers without a session pass.
 *
 * @throws DomainError PERMISSION_DENIED that names the scopes that the session does not hold
 */
export function requireWithinSession(
  { sessionId, scopes: held }: { readonly sessionId?: Id<"ses"> | undefined; readonly scopes: readonly string[] },
  scopes: readonly string[],
): void {
  if (sessionId === undefined) return;
  const excess = scopesBeyond(scopes, held).join(" ");
  if (excess === "") return;
  const message = `scopes: a session hands out no token that does more than itself, and yours does not hold ${excess}`;
  throw new DomainError("permission_denied", "SCOPE_EXCEEDS_PARENT", message, {
    fields: [{ field: "scopes", rule: `beyond the session: ${excess}` }],
    metadata: { scopes: excess },
  });
}

/**
 * Guards a change of credentials against an end of the calling session that was committed after the call was verified.
 *
 * @param session the session, read under its lock in the transaction of the change; undefined if it was removed
 * @throws DomainError UNAUTHENTICATED if it has ended
 */
export function requireLiveSession(session: { readonly revokedAt: Date | undefined } | undefined): void {
  if (session !== undefined && session.revokedAt === undefined) return;
  throw new DomainError("unauthenticated", "CREDENTIAL_REVOKED", "this session has ended: sign in again");
}
