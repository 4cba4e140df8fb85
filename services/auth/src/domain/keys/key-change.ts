import { DomainError, invalidField } from "@routeplane/domain";
import {
  type GrantErrors,
  lastOf,
  requireActive,
  requireExpiryWithin,
  requireFuture,
  requireScopesWithin,
} from "../grant-rules.ts";
import { hasToken } from "../sessions/console-key.ts";
import { type Key, KEY_WORDS, type KeyCaller, type KeyLineage, requireScopes } from "./key.ts";

/** Rules for changes of a minted key: who may make them, and that no change gives a key more than it has. */

/** Fields to change; absent ones stay as they are. */
export interface KeyUpdate {
  readonly name?: string;
  readonly scopes?: readonly string[];
  readonly expiresAt?: Date | "never";
}

const UPDATE_ERRORS: GrantErrors = {
  bound: "key",
  scopes: {
    reason: "KEY_WIDENED",
    message: (scopes) => `scopes: a key can only be narrowed, and this one does not hold ${scopes} now`,
  },
  expiry: {
    reason: "KEY_WIDENED",
    message: (latest) => `expires_at: an expiry can only be brought forward, and this key expires at ${latest}`,
  },
};

/**
 * Requires that the caller has authority over a key. A key has it over itself and all keys below. A root key may also change
 * every other key of its namespace, but not rotate it: a rotation hands out a token, which must not do more than the caller.
 *
 * @throws DomainError PERMISSION_DENIED
 */
export function requireKeyAuthority(caller: KeyCaller, target: Key, action: "change" | "rotate"): void {
  if (target.lineage.includes(caller.keyId)) return;
  const isRoot = caller.lineage.length === 1;
  if (isRoot && action === "change") return;
  const message = isRoot
    ? "a key rotates only itself and the keys below it, and this one is not below yours"
    : `a sub-key ${action}s only itself and the keys below it, and this one is not below yours`;
  throw new DomainError("permission_denied", "KEY_OUT_OF_LINEAGE", message);
}

/**
 * The last key of `lineage` with the changes of `update`, whose scopes and expiry must be within those that it has now. A console key
 * cannot be changed: a root key that narrows or expires it would shut the operator out of the namespace.
 *
 * @throws DomainError INVALID_ARGUMENT, PERMISSION_DENIED or FAILED_PRECONDITION
 */
export function updatedKey(lineage: KeyLineage, update: KeyUpdate, now: number): Key {
  requireActive(lineage, now, KEY_WORDS);
  requireToken(lastOf(lineage), "cannot be changed: revoke it to end them");
  const { name, scopes, expiresAt } = update;
  if (name === "") throw invalidField("name", "must not be blank");
  return {
    ...lastOf(lineage),
    ...(name !== undefined && { name }),
    ...(scopes !== undefined && { scopes: narrowedScopes(lineage, scopes) }),
    ...(expiresAt !== undefined && { expiresAt: earlierExpiry(lineage, expiresAt, now) }),
  };
}

/**
 * The last key of `lineage`, with the prefix of its new token.
 *
 * @throws DomainError FAILED_PRECONDITION
 */
export function rotatedKey(lineage: KeyLineage, prefix: string, now: number): Key {
  requireActive(lineage, now, KEY_WORDS);
  requireToken(lastOf(lineage), "has no token to rotate");
  return { ...lastOf(lineage), prefix };
}

/** The last key of `lineage`, revoked; the same object if it is revoked already, with any reason. */
export function revokedKey(lineage: KeyLineage, reason: string | undefined, now: number): Key {
  const key = lastOf(lineage);
  return key.revokedAt === undefined ? { ...key, revokedAt: new Date(now), revokedReason: reason } : key;
}

/** @throws DomainError FAILED_PRECONDITION for a console key */
function requireToken(key: Key, refusal: string): void {
  if (hasToken(key)) return;
  const message = `only sessions of an operator credential act as this key, which ${refusal}`;
  throw new DomainError("failed_precondition", "STATE_CONFLICT", message);
}

function narrowedScopes(lineage: KeyLineage, texts: readonly string[]): Key["scopes"] {
  const scopes = requireScopes(texts);
  requireScopesWithin(scopes, lineage, UPDATE_ERRORS);
  return scopes;
}

function earlierExpiry(lineage: KeyLineage, requested: Date | "never", now: number): Date | undefined {
  const expiresAt = requested === "never" ? undefined : requireFuture(requested, now);
  requireExpiryWithin(expiresAt, lineage, UPDATE_ERRORS);
  return expiresAt;
}
