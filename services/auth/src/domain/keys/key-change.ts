import { scopesBeyond } from "@routeplane/credentials";
import { DomainError, type Id, invalidField } from "@routeplane/domain";
import { type Key, KEY_WORDS, type KeyLineage, requireScopes } from "./key.ts";
import { expiryOf, lastOf, requireFuture, requireActive, scopesOf } from "../grant-rules.ts";

/** What may become of a key after it was minted, and who may do it. Nothing here gives a key more than it has. */

/** The key that asks for a change. */
export interface KeyCaller {
  readonly namespaceId: Id<"ns">;
  readonly keyId: Id<"key">;
  /** Key ids from the root key down to the caller. */
  readonly lineage: readonly Id<"key">[];
  /** Lookup id of the token that the caller presented. */
  readonly lookupId: string;
}

/** Fields to change; the rest stays as it is. */
export interface KeyUpdate {
  readonly name?: string;
  readonly scopes?: readonly string[];
  readonly expiresAt?: Date | "never";
}

const DEFAULT_GRACE_SECS = 3_600;
const MAX_GRACE_SECS = 7 * 86_400;

/**
 * A key has a say over itself and those below it. A root key may take authority away from any key of its namespace, but
 * hand out a token only for what it stands above: all that such a key may do, the caller may do too.
 *
 * @throws DomainError PERMISSION_DENIED
 */
export function requireKeyAuthority(caller: KeyCaller, target: Key, act: "change" | "rotate"): void {
  if (target.lineage.includes(caller.keyId)) return;
  const isRoot = caller.lineage.length === 1;
  if (isRoot && act === "change") return;
  const message = isRoot
    ? "a key rotates only itself and the keys below it, and this one is not below yours"
    : `a sub-key ${act}s only itself and the keys below it, and this one is not below yours`;
  throw new DomainError("permission_denied", "KEY_OUT_OF_LINEAGE", message);
}

/**
 * The last key of `lineage`, with a name, scopes and an expiry that are within what it has now.
 *
 * @throws DomainError INVALID_ARGUMENT, PERMISSION_DENIED or FAILED_PRECONDITION
 */
export function updatedKey(lineage: KeyLineage, update: KeyUpdate, now: number): Key {
  requireActive(lineage, now, KEY_WORDS);
  const { name, scopes, expiresAt } = update;
  if (name === "") throw invalidField("name", "must not be blank");
  return {
    ...lastOf(lineage),
    ...(name !== undefined && { name }),
    ...(scopes !== undefined && { scopes: narrowedScopes(lineage, scopes) }),
    ...(expiresAt !== undefined && { expiresAt: broughtForward(lineage, expiresAt, now) }),
  };
}

/**
 * The last key of `lineage`, under a new token.
 *
 * @throws DomainError FAILED_PRECONDITION
 */
export function rotatedKey(lineage: KeyLineage, prefix: string, now: number): Key {
  requireActive(lineage, now, KEY_WORDS);
  return { ...lastOf(lineage), prefix };
}

/** The last key of `lineage`, revoked. One that is already stays the very same, whatever the reason. */
export function revokedKey(lineage: KeyLineage, reason: string | undefined, now: number): Key {
  const key = lastOf(lineage);
  return key.revokedAt === undefined ? { ...key, revokedAt: new Date(now), revokedReason: reason } : key;
}

/**
 * For how long a replaced token works on, in milliseconds; an hour unless the caller says.
 *
 * @throws DomainError INVALID_ARGUMENT unless it is a whole number of seconds from 0 to 7 days
 */
export function graceMs(seconds: number = DEFAULT_GRACE_SECS): number {
  if (Number.isInteger(seconds) && seconds >= 0 && seconds <= MAX_GRACE_SECS) return seconds * 1000;
  throw invalidField("grace", `must be a whole number of seconds from 0 to ${MAX_GRACE_SECS} (7 days)`);
}

function narrowedScopes(lineage: KeyLineage, texts: readonly string[]): Key["scopes"] {
  const scopes = requireScopes(texts);
  const beyond = scopesBeyond(scopes, scopesOf(lineage)).join(" ");
  if (beyond === "") return scopes;
  const message = `scopes: a key can only be narrowed, and this one does not hold ${beyond} now`;
  throw widened(message, { field: "scopes", rule: `beyond the key: ${beyond}` }, { scopes: beyond });
}

function broughtForward(lineage: KeyLineage, expiresAt: Date | "never", now: number): Date | undefined {
  const limit = expiryOf(lineage);
  const wanted = expiresAt === "never" ? undefined : requireFuture(expiresAt, now);
  if (limit === undefined || (wanted !== undefined && wanted <= limit)) return wanted;
  const latest = limit.toISOString();
  const message = `expires_at: an expiry can only be brought forward, and this key expires at ${latest}`;
  throw widened(message, { field: "expires_at", rule: `must not be after ${latest}` }, { expires_at: latest });
}

function widened(message: string, fault: { field: string; rule: string }, metadata: Record<string, string>) {
  return new DomainError("permission_denied", "KEY_WIDENED", message, { fields: [fault], metadata });
}
