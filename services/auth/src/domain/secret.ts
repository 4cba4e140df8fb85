import { constantTimeEqual, hashSecret, type ParsedToken, type Peppers } from "@routeplane/credentials";

/** What is kept of a token: enough to recognise it, not enough to make it. */
export interface StoredSecret {
  readonly lookupId: string;
  readonly hash: Buffer;
  /** Which pepper hashed it. */
  readonly pepperId: string;
}

export function toStoredSecret(token: ParsedToken, { current }: Peppers): StoredSecret {
  return { lookupId: token.lookupId, hash: hashSecret(token.secret, current), pepperId: current.id };
}

/** Whether `token` is the one that `stored` was made from. False if its pepper is gone: its time is over. */
export function provesSecret(token: ParsedToken, stored: StoredSecret, peppers: Peppers): boolean {
  const pepper = peppers.find(stored.pepperId);
  return pepper !== undefined && constantTimeEqual(hashSecret(token.secret, pepper), stored.hash);
}
