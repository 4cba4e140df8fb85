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
