import { scopesBeyond } from "@routeplane/credentials";
import { DomainError, type Id } from "@routeplane/domain";

/**
 * Requires that a token which the caller is about to be handed does no more than the caller, if that is a session: its own scopes are
 * the bound of what it mints and rotates, besides those of the credential that it acts as.
 *
 * @throws DomainError PERMISSION_DENIED that names the scopes which the session does not hold
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
 * @param session the session, read under its lock in the transaction of the change; undefined if it is not kept any more
 * @throws DomainError UNAUTHENTICATED if it has ended
 */
export function requireLiveSession(session: { readonly revokedAt: Date | undefined } | undefined): void {
  if (session !== undefined && session.revokedAt === undefined) return;
  throw new DomainError("unauthenticated", "CREDENTIAL_REVOKED", "this session has ended: sign in again");
}
