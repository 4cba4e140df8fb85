import {
  constantTimeEqual,
  hashSecret,
  mintToken,
  type ParsedToken,
  parseToken,
  type Peppers,
  type TokenKind,
  tokenPrefix,
} from "@routeplane/credentials";
import type { Id } from "@routeplane/domain";

/** The stored part of a token: enough to recognise the token, not enough to make it. */
export interface StoredSecret {
  readonly lookupId: string;
  /** HMAC of the token's secret. */
  readonly hash: Buffer;
  /** Id of the pepper of the HMAC. */
  readonly pepperId: string;
}

/** Caller, identified by the token that it presented. */
export interface TokenHolder {
  /** Lookup id of the token. */
  readonly lookupId: string;
  /** Session whose token it is; undefined for a token of a key or an operator credential. */
  readonly sessionId?: Id<"ses"> | undefined;
  /**
   * Ids of the operator credential behind the token, and of those above it, with each of which the token ends: the credential itself, or
   * the one that opened the session. Undefined or empty if there is none.
   */
  readonly operatorLineage?: readonly Id<"op">[] | undefined;
}

/** Token that was just minted, and the part of it that may be stored. */
export interface NewToken {
  /** The secret text, for the caller alone; it exists nowhere else. */
  readonly token: string;
  readonly prefix: string;
  readonly secret: StoredSecret;
}

export function newToken(kind: TokenKind, peppers: Peppers): NewToken {
  const token = mintToken(kind);
  const parsed = parseToken(token);
  if (parsed === undefined) throw new Error("a token that was just minted is malformed");
  return { token, prefix: tokenPrefix(parsed), secret: toStoredSecret(parsed, peppers) };
}

export function toStoredSecret(token: ParsedToken, { current }: Peppers): StoredSecret {
  return { lookupId: token.lookupId, hash: hashSecret(token.secret, current), pepperId: current.id };
}

/** True if `stored` was made from `token`. Also false if its pepper is no longer configured. */
export function provesSecret(token: ParsedToken, stored: StoredSecret, peppers: Peppers): boolean {
  const pepper = peppers.find(stored.pepperId);
  return pepper !== undefined && constantTimeEqual(hashSecret(token.secret, pepper), stored.hash);
}
