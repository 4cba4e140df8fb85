import { effectiveScopes, parseScopes, type Scope, scopesBeyond } from "@routeplane/credentials";
import { DomainError, type Id, invalidField, newId } from "@routeplane/domain";
import type { NamespaceState } from "./namespace.ts";

/** A key, without its secret. */
export interface Key {
  readonly id: Id<"key">;
  readonly namespaceId: Id<"ns">;
  readonly accountId: Id<"acc">;
  /** All keys of a namespace that is not active are refused. */
  readonly namespaceState: NamespaceState;
  readonly name: string;
  /** Start of the token, for people to recognise it by. */
  readonly prefix: string;
  /** As granted, or narrowed since; what it may do now is the intersection over its lineage. */
  readonly scopes: readonly Scope[];
  /** From the root key down to this one. */
  readonly lineage: readonly Id<"key">[];
  readonly createdAt: Date;
  readonly expiresAt: Date | undefined;
  readonly lastUsedAt: Date | undefined;
  readonly revokedAt: Date | undefined;
  /** In the words of whoever revoked it, if they gave any. */
  readonly revokedReason: string | undefined;
}

/** What a caller asks of a new key. */
export interface KeyRequest {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly expiresAt: Date | undefined;
}

/** A key and all above it, from the root key down: never empty, and read in one transaction. */
export type Lineage = readonly [Key, ...Key[]];

/** The latest moment that RFC 3339, and with it JSON, can say. */
const END_OF_TIME = Date.parse("9999-12-31T23:59:59.999Z");

/** A root key and at most this many keys, one below the other. */
export const MAX_LINEAGE = 8;

/** The key whose lineage it is. */
export function keyOf(lineage: Lineage): Key {
  return lineage.at(-1) ?? lineage[0];
}

export function parentOf({ lineage }: Key): Id<"key"> | undefined {
  return lineage.at(-2);
}

/** What the last key of a lineage may do now. */
export function scopesOf(lineage: Lineage): readonly Scope[] {
  return effectiveScopes(lineage.map(({ scopes }) => scopes));
}

/** When the first key of a lineage expires; undefined: never. */
export function expiryOf(lineage: Lineage): Date | undefined {
  const times = lineage.flatMap(({ expiresAt }) => (expiresAt === undefined ? [] : [expiresAt.getTime()]));
  return times.length === 0 ? undefined : new Date(Math.min(...times));
}

/** A key is refused from the moment of its expiry on. */
export function isExpired(lineage: Lineage, now: number): boolean {
  const expiry = expiryOf(lineage);
  return expiry !== undefined && expiry.getTime() <= now;
}

export function isRevoked(lineage: Lineage): boolean {
  return lineage.some(({ revokedAt }) => revokedAt !== undefined);
}

/**
 * A new root key.
 *
 * @throws DomainError INVALID_ARGUMENT
 */
export function newRootKey(
  owner: { readonly namespaceId: Id<"ns">; readonly accountId: Id<"acc"> },
  request: KeyRequest,
  prefix: string,
  now: number,
): Key {
  return newKey({ ...owner, lineage: [] }, request, prefix, now);
}

/**
 * A new key below the last one of `parent`: authority only shrinks downwards, and asking for more is refused, not trimmed.
 *
 * @throws DomainError INVALID_ARGUMENT, PERMISSION_DENIED or FAILED_PRECONDITION
 */
export function newSubKey(parent: Lineage, request: KeyRequest, prefix: string, now: number): Key {
  if (isRevoked(parent) || isExpired(parent, now)) {
    throw new DomainError("unauthenticated", "CREDENTIAL_REVOKED", "your key was revoked or has expired");
  }
  if (parent.length >= MAX_LINEAGE) {
    const message = `keys nest at most ${MAX_LINEAGE} deep, the root key included: mint from a key further up`;
    throw new DomainError("failed_precondition", "LINEAGE_TOO_DEEP", message);
  }
  const limit = expiryOf(parent);
  const key = newKey(keyOf(parent), { ...request, expiresAt: request.expiresAt ?? limit }, prefix, now);
  const beyond = scopesBeyond(key.scopes, scopesOf(parent));
  if (beyond.length > 0) {
    const message = `scopes: a sub-key cannot hold more than its parent, and yours does not hold ${beyond.join(" ")}`;
    throw new DomainError("permission_denied", "SCOPE_EXCEEDS_PARENT", message, {
      fields: [{ field: "scopes", rule: `beyond the parent: ${beyond.join(" ")}` }],
      metadata: { scopes: beyond.join(" ") },
    });
  }
  if (limit !== undefined && key.expiresAt !== undefined && key.expiresAt > limit) {
    const latest = limit.toISOString();
    const message = `expires_at: a sub-key cannot outlive its parent, and yours expires at ${latest}`;
    throw new DomainError("permission_denied", "EXPIRY_EXCEEDS_PARENT", message, {
      fields: [{ field: "expires_at", rule: `must not be after ${latest}` }],
      metadata: { expires_at: latest },
    });
  }
  return key;
}

/** @throws DomainError INVALID_ARGUMENT as `parseScopes` */
export function requireScopes(texts: readonly string[]): readonly Scope[] {
  const parsed = parseScopes(texts);
  if ("fault" in parsed) throw invalidField("scopes", parsed.fault);
  return parsed.scopes;
}

/** @throws DomainError INVALID_ARGUMENT for a time that is over, is now, or cannot be written down */
export function requireFuture(expiresAt: Date, now: number): Date {
  const time = expiresAt.getTime();
  if (time > now && time <= END_OF_TIME) return expiresAt;
  throw invalidField("expires_at", "must be in the future, before the year 10000");
}

function newKey(
  above: Pick<Key, "namespaceId" | "accountId" | "lineage">,
  { name, scopes, expiresAt }: KeyRequest,
  prefix: string,
  now: number,
): Key {
  const granted = requireScopes(scopes);
  if (expiresAt !== undefined) requireFuture(expiresAt, now);
  const id = newId("key");
  return {
    id,
    namespaceId: above.namespaceId,
    accountId: above.accountId,
    namespaceState: "active",
    name,
    prefix,
    scopes: granted,
    lineage: [...above.lineage, id],
    createdAt: new Date(now),
    expiresAt,
    lastUsedAt: undefined,
    revokedAt: undefined,
    revokedReason: undefined,
  };
}
