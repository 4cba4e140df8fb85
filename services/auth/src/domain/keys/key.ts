import { parseScopes, type Scope } from "@routeplane/credentials";
import { type Id, invalidField, newId } from "@routeplane/domain";
import {
  type CredentialWords,
  expiryOf,
  lastOf,
  type LineageOf,
  requireFuture,
  requireParent,
  requireWithin,
} from "../grant-rules.ts";
import type { NamespaceState } from "../namespaces/namespace.ts";

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

/** A key and all above it, from the root key down. */
export type KeyLineage = LineageOf<Key>;

export const KEY_WORDS: CredentialWords = { singular: "key", plural: "keys", sub: "a sub-key" };

export function parentOf({ lineage }: Key): Id<"key"> | undefined {
  return lineage.at(-2);
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
export function newSubKey(parent: KeyLineage, request: KeyRequest, prefix: string, now: number): Key {
  requireParent(parent, now, KEY_WORDS);
  const expiresAt = request.expiresAt ?? expiryOf(parent);
  const key = newKey(lastOf(parent), { ...request, expiresAt }, prefix, now);
  requireWithin(key, parent, KEY_WORDS);
  return key;
}

/** @throws DomainError INVALID_ARGUMENT as `parseScopes` */
export function requireScopes(texts: readonly string[]): readonly Scope[] {
  const parsed = parseScopes(texts);
  if ("fault" in parsed) throw invalidField("scopes", parsed.fault);
  return parsed.scopes;
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
