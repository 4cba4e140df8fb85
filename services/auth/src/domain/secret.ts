import {
  constantTimeEqual,
  hashSecret,
  mintToken,
  type ParsedToken,
  parseToken,
  type Peppers,
  replacedScopes,
  type TokenKind,
  tokenPrefix,
} from "@routeplane/credentials";
import { tokenReplaced } from "@routeplane/domain";
import { earlierOf, expiryOf, type Grant, type LineageOf, scopesOf } from "./grant-rules.ts";

/** What is kept of a token: enough to recognise it, not enough to make it. */
export interface StoredSecret {
  readonly lookupId: string;
  readonly hash: Buffer;
  /** Which pepper hashed it. */
  readonly pepperId: string;
}

/** A new token, for its caller alone, and what others may know of it. */
export function newSecret(kind: TokenKind, peppers: Peppers): { token: string; prefix: string; secret: StoredSecret } {
  const token = mintToken(kind);
  const parsed = parseToken(token);
  if (parsed === undefined) throw new Error("a token that was just minted is malformed");
  return { token, prefix: tokenPrefix(parsed), secret: toStoredSecret(parsed, peppers) };
}

export function toStoredSecret(token: ParsedToken, { current }: Peppers): StoredSecret {
  return { lookupId: token.lookupId, hash: hashSecret(token.secret, current), pepperId: current.id };
}

/** Whether `token` is the one that `stored` was made from. False if its pepper is gone: its time is over. */
export function provesSecret(token: ParsedToken, stored: StoredSecret, peppers: Peppers): boolean {
  const pepper = peppers.find(stored.pepperId);
  return pepper !== undefined && constantTimeEqual(hashSecret(token.secret, pepper), stored.hash);
}

/** The authority of one token of a credential now. */
export interface TokenGrant {
  readonly scopes: readonly string[];
  readonly expiresAt: Date | undefined;
  readonly graceEndsAt: Date | undefined;
}

/**
 * The authority of a token whose secret ends at `secretEndsAt`: that of its credential, or, once a rotation has replaced it, no
 * more than to invoke and to read until then. The only place where the two differ.
 */
export function tokenGrant(kind: TokenKind, lineage: LineageOf<Grant>, secretEndsAt: Date | undefined): TokenGrant {
  const scopes = scopesOf(lineage);
  return {
    scopes: secretEndsAt === undefined ? scopes : replacedScopes(kind, scopes),
    expiresAt: earlierOf(secretEndsAt, expiryOf(lineage)),
    graceEndsAt: secretEndsAt,
  };
}

/**
 * Holds a change of credentials against the caller's token as it is in the transaction of the change: a rotation may have
 * replaced it since the call was let in.
 *
 * @param secretEndsAt of that token, read under its lock
 * @throws DomainError PERMISSION_DENIED if it was replaced
 */
export function requireCurrentToken(kind: TokenKind, secretEndsAt: Date | undefined): void {
  if (secretEndsAt === undefined) return;
  throw tokenReplaced({ kind, graceEndsAt: secretEndsAt }, kind === "key" ? "keys:write" : "operators:write");
}
