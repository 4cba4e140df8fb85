import { effectiveScopes, scopesBeyond } from "@routeplane/credentials";
import { DomainError, type ErrorReason, invalidField } from "@routeplane/domain";

/**
 * The grant rules of keys and operator credentials: every credential except the first of a lineage was minted by another one, its parent.
 * It can never do more, or live longer, than any credential above it at this moment. A request for more is refused, never trimmed.
 */

/** Scopes of a credential, and the times that end it. */
export interface Grant<S extends string = string> {
  readonly scopes: readonly S[];
  readonly expiresAt: Date | undefined;
  readonly revokedAt: Date | undefined;
}

/** A credential and all its ancestors, from the first one down, read in one transaction. Never empty. */
export type LineageOf<G> = readonly [G, ...G[]];

/** Words for one kind of credential in error messages. */
export interface CredentialWords {
  /** E.g. `key`. */
  readonly singular: string;
  /** E.g. `keys`. */
  readonly plural: string;
  /** A credential that another one mints, with its article: e.g. `a sub-key`. */
  readonly minted: string;
}

/** Latest moment that RFC 3339, and with it JSON, can express. */
const END_OF_TIME = Date.parse("9999-12-31T23:59:59.999Z");

/** Maximum length of a lineage, the first credential included. */
export const MAX_LINEAGE = 8;

/** The credential that the lineage belongs to. */
export function lastOf<G>(lineage: LineageOf<G>): G {
  return lineage.at(-1) ?? lineage[0];
}

/** Scopes that the last credential of a lineage holds now: the intersection of all scopes in it. */
export function scopesOf<S extends string>(lineage: LineageOf<Grant<S>>): readonly S[] {
  return effectiveScopes(lineage.map(({ scopes }) => scopes));
}

/** Earliest expiry in a lineage; undefined if nothing in it expires. */
export function expiryOf(lineage: LineageOf<Grant>): Date | undefined {
  const times = lineage.flatMap(({ expiresAt }) => (expiresAt === undefined ? [] : [expiresAt.getTime()]));
  return times.length === 0 ? undefined : new Date(Math.min(...times));
}

/** True from the moment of the earliest expiry on. */
export function isExpired(lineage: LineageOf<Grant>, now: number): boolean {
  const expiry = expiryOf(lineage);
  return expiry !== undefined && expiry.getTime() <= now;
}

/** True if any credential of the lineage is revoked. */
export function isRevoked(lineage: LineageOf<Grant>): boolean {
  return lineage.some(({ revokedAt }) => revokedAt !== undefined);
}

/** The earlier of two expiries; undefined means never. */
export function earlierOf(left: Date | undefined, right: Date | undefined): Date | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  return left < right ? left : right;
}

/** @throws DomainError INVALID_ARGUMENT for a time that is past, is now, or is after the year 9999 */
export function requireFuture(expiresAt: Date, now: number): Date {
  const time = expiresAt.getTime();
  if (time > now && time <= END_OF_TIME) return expiresAt;
  throw invalidField("expires_at", "must be in the future, before the year 10000");
}

/**
 * Requires that a credential can be changed: neither it nor a credential above it is revoked or expired.
 *
 * @throws DomainError FAILED_PRECONDITION
 */
export function requireActive(lineage: LineageOf<Grant>, now: number, { singular }: CredentialWords): void {
  const revoked = isRevoked(lineage);
  if (!revoked && !isExpired(lineage, now)) return;
  const message = `this ${singular}, or one above it, ${revoked ? "was revoked" : "has expired"}: it cannot be changed`;
  throw new DomainError("failed_precondition", "STATE_CONFLICT", message);
}

/**
 * Requires that a credential can mint another one: it must be active, and its lineage shorter than `MAX_LINEAGE`.
 *
 * @throws DomainError UNAUTHENTICATED or FAILED_PRECONDITION
 */
export function requireParent(parent: LineageOf<Grant>, now: number, { singular, plural }: CredentialWords): void {
  if (isRevoked(parent) || isExpired(parent, now)) {
    throw new DomainError("unauthenticated", "CREDENTIAL_REVOKED", `your ${singular} was revoked or has expired`);
  }
  if (parent.length >= MAX_LINEAGE) {
    const message = `${plural} nest at most ${MAX_LINEAGE} deep, the first one included: mint from one further up`;
    throw new DomainError("failed_precondition", "LINEAGE_TOO_DEEP", message);
  }
}

/** Reasons and texts of the errors for a grant that exceeds its bounds. */
export interface GrantErrors {
  /** The credential whose authority is the bound, e.g. `parent`. */
  readonly bound: string;
  readonly scopes: { readonly reason: ErrorReason; readonly message: (excessScopes: string) => string };
  readonly expiry: { readonly reason: ErrorReason; readonly message: (latest: string) => string };
}

/** Errors for a mint: the bound is the parent. */
export function mintErrors({ minted }: CredentialWords): GrantErrors {
  return {
    bound: "parent",
    scopes: {
      reason: "SCOPE_EXCEEDS_PARENT",
      message: (scopes) => `scopes: ${minted} cannot hold more than its parent, and yours does not hold ${scopes}`,
    },
    expiry: {
      reason: "EXPIRY_EXCEEDS_PARENT",
      message: (latest) => `expires_at: ${minted} cannot outlive its parent, and yours expires at ${latest}`,
    },
  };
}

/**
 * The scope subset rule: `scopes` are a subset, by meaning, of those that `lineage` holds now.
 *
 * @throws DomainError PERMISSION_DENIED that names the other scopes
 */
export function requireScopesWithin(
  scopes: readonly string[],
  lineage: LineageOf<Grant>,
  { bound, scopes: { reason, message } }: GrantErrors,
): void {
  const excess = scopesBeyond(scopes, scopesOf(lineage)).join(" ");
  if (excess === "") return;
  throw new DomainError("permission_denied", reason, message(excess), {
    fields: [{ field: "scopes", rule: `beyond the ${bound}: ${excess}` }],
    metadata: { scopes: excess },
  });
}

/**
 * The expiry rule: `expiresAt` is not later than the expiry of `lineage`; undefined means never.
 *
 * @throws DomainError PERMISSION_DENIED that names the latest expiry
 */
export function requireExpiryWithin(
  expiresAt: Date | undefined,
  lineage: LineageOf<Grant>,
  { expiry: { reason, message } }: GrantErrors,
): void {
  const limit = expiryOf(lineage);
  if (limit === undefined || (expiresAt !== undefined && expiresAt <= limit)) return;
  const latest = limit.toISOString();
  throw new DomainError("permission_denied", reason, message(latest), {
    fields: [{ field: "expires_at", rule: `must not be after ${latest}` }],
    metadata: { expires_at: latest },
  });
}
