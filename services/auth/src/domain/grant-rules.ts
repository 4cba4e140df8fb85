import { effectiveScopes, scopesBeyond } from "@routeplane/credentials";
import { DomainError, invalidField } from "@routeplane/domain";

/**
 * What keys and operator credentials have in common: each but the first was minted by another, and may do no more than all
 * above it may do now.
 */

/** What a credential was granted, and what may end it. */
export interface Grant<S extends string = string> {
  readonly scopes: readonly S[];
  readonly expiresAt: Date | undefined;
  readonly revokedAt: Date | undefined;
}

/** A credential and all above it, from the first one down: never empty, and read in one transaction. */
export type LineageOf<G> = readonly [G, ...G[]];

/** How errors call them. */
export interface CredentialWords {
  readonly singular: string;
  readonly plural: string;
  /** One that is minted by another. */
  readonly sub: string;
}

/** The latest moment that RFC 3339, and with it JSON, can say. */
const END_OF_TIME = Date.parse("9999-12-31T23:59:59.999Z");

/** A first one and what hangs below it: at most this many, one below the other. */
export const MAX_LINEAGE = 8;

/** The credential whose lineage it is. */
export function lastOf<G>(lineage: LineageOf<G>): G {
  return lineage.at(-1) ?? lineage[0];
}

/** What the last one of a lineage may do now. */
export function scopesOf<S extends string>(lineage: LineageOf<Grant<S>>): readonly S[] {
  return effectiveScopes(lineage.map(({ scopes }) => scopes));
}

/** When the first of a lineage expires; undefined: never. */
export function expiryOf(lineage: LineageOf<Grant>): Date | undefined {
  const times = lineage.flatMap(({ expiresAt }) => (expiresAt === undefined ? [] : [expiresAt.getTime()]));
  return times.length === 0 ? undefined : new Date(Math.min(...times));
}

/** A credential is refused from the moment of its expiry on. */
export function isExpired(lineage: LineageOf<Grant>, now: number): boolean {
  const expiry = expiryOf(lineage);
  return expiry !== undefined && expiry.getTime() <= now;
}

export function isRevoked(lineage: LineageOf<Grant>): boolean {
  return lineage.some(({ revokedAt }) => revokedAt !== undefined);
}

/** The earlier of two ends; undefined: never. */
export function earlierOf(left: Date | undefined, right: Date | undefined): Date | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  return left < right ? left : right;
}

/** @throws DomainError INVALID_ARGUMENT for a time that is over, is now, or cannot be written down */
export function requireFuture(expiresAt: Date, now: number): Date {
  const time = expiresAt.getTime();
  if (time > now && time <= END_OF_TIME) return expiresAt;
  throw invalidField("expires_at", "must be in the future, before the year 10000");
}

/**
 * What is dead stays as it was.
 *
 * @throws DomainError FAILED_PRECONDITION
 */
export function requireActive(lineage: LineageOf<Grant>, now: number, { singular: one }: CredentialWords): void {
  const revoked = isRevoked(lineage);
  if (!revoked && !isExpired(lineage, now)) return;
  const message = `this ${one}, or one above it, ${revoked ? "was revoked" : "has expired"}: it stays as it is`;
  throw new DomainError("failed_precondition", "STATE_CONFLICT", message);
}

/**
 * Whether anything can be minted below `parent` at all.
 *
 * @throws DomainError UNAUTHENTICATED or FAILED_PRECONDITION
 */
export function requireParent(
  parent: LineageOf<Grant>,
  now: number,
  { singular: one, plural: many }: CredentialWords,
): void {
  if (isRevoked(parent) || isExpired(parent, now)) {
    throw new DomainError("unauthenticated", "CREDENTIAL_REVOKED", `your ${one} was revoked or has expired`);
  }
  if (parent.length >= MAX_LINEAGE) {
    const message = `${many} nest at most ${MAX_LINEAGE} deep, the first one included: mint from one further up`;
    throw new DomainError("failed_precondition", "LINEAGE_TOO_DEEP", message);
  }
}

/**
 * Authority only shrinks downwards, and asking for more is refused, not trimmed.
 *
 * @throws DomainError PERMISSION_DENIED that names what is too much
 */
export function requireWithin(minted: Grant, parent: LineageOf<Grant>, words: CredentialWords): void {
  const scopes = scopesBeyond(minted.scopes, scopesOf(parent)).join(" ");
  if (scopes !== "") {
    const message = `scopes: ${words.sub} cannot hold more than its parent, and yours does not hold ${scopes}`;
    throw new DomainError("permission_denied", "SCOPE_EXCEEDS_PARENT", message, {
      fields: [{ field: "scopes", rule: `beyond the parent: ${scopes}` }],
      metadata: { scopes },
    });
  }
  const limit = expiryOf(parent);
  if (limit !== undefined && minted.expiresAt !== undefined && minted.expiresAt > limit) {
    const latest = limit.toISOString();
    const message = `expires_at: ${words.sub} cannot outlive its parent, and yours expires at ${latest}`;
    throw new DomainError("permission_denied", "EXPIRY_EXCEEDS_PARENT", message, {
      fields: [{ field: "expires_at", rule: `must not be after ${latest}` }],
      metadata: { expires_at: latest },
    });
  }
}
