import { type Peppers, replacedScopes, type TokenKind } from "@routeplane/credentials";
import { invalidField, tokenReplaced } from "@routeplane/domain";
import { earlierOf, expiryOf, type Grant, type LineageOf, scopesOf } from "./grant-rules.ts";
import { newToken, type StoredSecret } from "./secret.ts";

/**
 * Rotation of keys, operator credentials and service credentials: the credential gets a new token, and the replaced token stays valid for a
 * grace. During the grace, a replaced token can only invoke and read; one of a service credential can do the same as before.
 */

/** Kind of a credential that is rotated: all but sessions. */
export type RotatedKind = Exclude<TokenKind, "session">;

/** New secret of a credential, and the end of its existing secrets. No secret is ever extended. */
export interface Rotation {
  readonly secret: StoredSecret;
  /** First moment at which the replaced secret is refused. */
  readonly graceEndsAt: Date;
  /** True if secrets that earlier rotations replaced end then too; otherwise they keep their own, earlier or later end. */
  readonly endsAll: boolean;
}

const DEFAULT_GRACE_SECS = 3_600;
const MAX_GRACE_SECS = 7 * 86_400;

/**
 * New token, and the rotation that introduces it.
 *
 * @param graceSecs validity of the replaced token; an hour by default. With 0 only the new token is valid afterwards: graces of earlier
 *   rotations end too
 * @throws DomainError INVALID_ARGUMENT as `graceMs`
 */
export function newRotation(kind: RotatedKind, peppers: Peppers, graceSecs: number | undefined, now: number) {
  const grace = graceMs(graceSecs);
  const { token, prefix, secret } = newToken(kind, peppers);
  const rotation: Rotation = { secret, graceEndsAt: new Date(now + grace), endsAll: grace === 0 };
  return { token, prefix, rotation };
}

/**
 * The grace in milliseconds; an hour by default.
 *
 * @throws DomainError INVALID_ARGUMENT unless it is a whole number of seconds from 0 to 7 days
 */
export function graceMs(seconds: number = DEFAULT_GRACE_SECS): number {
  if (Number.isInteger(seconds) && seconds >= 0 && seconds <= MAX_GRACE_SECS) return seconds * 1000;
  throw invalidField("grace", `must be a whole number of seconds from 0 to ${MAX_GRACE_SECS} (7 days)`);
}

/** The authority of one token of a credential at this moment. */
export interface TokenGrant {
  /** Scopes of the credential, or, for a replaced token, the part that invokes and reads. */
  readonly scopes: readonly string[];
  /** Expiry of the credential, or of this token if that is earlier; undefined means never. */
  readonly expiresAt: Date | undefined;
  /** End of the token's grace; undefined unless a rotation replaced it. */
  readonly graceEndsAt: Date | undefined;
}

/**
 * Authority of a token: that of its credential or, for a replaced token, only the part that invokes and reads. The only place where the two
 * differ.
 *
 * @param secretEndsAt end of the token's secret; undefined unless a rotation replaced it
 */
export function tokenGrant(kind: RotatedKind, lineage: LineageOf<Grant>, secretEndsAt: Date | undefined): TokenGrant {
  const scopes = scopesOf(lineage);
  return {
    scopes: secretEndsAt === undefined ? scopes : replacedScopes(kind, scopes),
    expiresAt: earlierOf(secretEndsAt, expiryOf(lineage)),
    graceEndsAt: secretEndsAt,
  };
}

/**
 * Guards a change of credentials against a rotation of the caller's token that was committed after the call was verified.
 *
 * @param secretEndsAt end of the caller's secret, read under its lock in the transaction of the change
 * @throws DomainError PERMISSION_DENIED if the token was replaced
 */
export function requireCurrentToken(kind: RotatedKind, secretEndsAt: Date | undefined): void {
  if (secretEndsAt === undefined) return;
  throw tokenReplaced({ kind, graceEndsAt: secretEndsAt }, kind === "key" ? "keys:write" : "operators:write");
}
