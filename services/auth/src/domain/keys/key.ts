import { parseScopes, type Scope } from "@routeplane/credentials";
import { type Id, invalidField, newId } from "@routeplane/domain";
import {
  type CredentialWords,
  expiryOf,
  lastOf,
  type LineageOf,
  mintErrors,
  requireExpiryWithin,
  requireFuture,
  requireParent,
  requireScopesWithin,
} from "../grant-rules.ts";
import type { NamespaceState } from "../namespaces/namespace.ts";
import type { TokenHolder } from "../secret.ts";

/** A key, without its secret. */
export interface Key {
  readonly id: Id<"key">;
  readonly namespaceId: Id<"ns">;
  readonly accountId: Id<"acc">;
  /** State of its namespace; all keys of a namespace that is not active are refused. */
  readonly namespaceState: NamespaceState;
  readonly name: string;
  /** Start of the token, by which people recognise it. */
  readonly prefix: string;
  /** Scopes that were granted, or narrowed since. The scopes in effect are the intersection over its lineage. */
  readonly scopes: readonly Scope[];
  /** Ids from the root key down to this key. */
  readonly lineage: readonly Id<"key">[];
  readonly createdAt: Date;
  readonly expiresAt: Date | undefined;
  readonly lastUsedAt: Date | undefined;
  readonly revokedAt: Date | undefined;
  /** Reason given at the revocation, verbatim. */
  readonly revokedReason: string | undefined;
}

/** The key that makes a call. */
export interface KeyCaller extends TokenHolder {
  readonly namespaceId: Id<"ns">;
  readonly keyId: Id<"key">;
  /** Ids from the root key down to the caller. */
  readonly lineage: readonly Id<"key">[];
  /** Scopes in effect now; for a session, its own. */
  readonly scopes: readonly string[];
}

/** Properties of a key to mint. */
export interface KeyRequest {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly expiresAt: Date | undefined;
}

/** A key and all above it, from the root key down. */
export type KeyLineage = LineageOf<Key>;

export const KEY_WORDS: CredentialWords = { singular: "key", plural: "keys", minted: "a sub-key" };
const MINT_ERRORS = mintErrors(KEY_WORDS);

/** Id of the key that minted this one; undefined for a root key. */
export function parentOf({ lineage }: Key): Id<"key"> | undefined {
  return lineage.at(-2);
}

/**
 * A new root key.
 *
 * @throws DomainError INVALID_ARGUMENT
 */
export function newRootKey(
  namespace: { readonly namespaceId: Id<"ns">; readonly accountId: Id<"acc"> },
  request: KeyRequest,
  prefix: string,
  now: number,
): Key {
  return newKey({ ...namespace, lineage: [] }, request, prefix, now);
}

/**
 * A new sub-key of the last key of `parent`. Without an expiry it expires with its parent.
 *
 * @throws DomainError INVALID_ARGUMENT, PERMISSION_DENIED or FAILED_PRECONDITION
 */
export function newSubKey(parent: KeyLineage, request: KeyRequest, prefix: string, now: number): Key {
  requireParent(parent, now, KEY_WORDS);
  const expiresAt = request.expiresAt ?? expiryOf(parent);
  const key = newKey(lastOf(parent), { ...request, expiresAt }, prefix, now);
  requireScopesWithin(key.scopes, parent, MINT_ERRORS);
  requireExpiryWithin(key.expiresAt, parent, MINT_ERRORS);
  return key;
}

/** @throws DomainError INVALID_ARGUMENT for what `parseScopes` refuses */
export function requireScopes(texts: readonly string[]): readonly Scope[] {
  const parsed = parseScopes(texts);
  if ("fault" in parsed) throw invalidField("scopes", parsed.fault);
  return parsed.scopes;
}

function newKey(
  above: Pick<Key, "namespaceId" | "accountId" | "lineage">,
  { name, scopes: scopeTexts, expiresAt }: KeyRequest,
  prefix: string,
  now: number,
): Key {
  const scopes = requireScopes(scopeTexts);
  if (expiresAt !== undefined) requireFuture(expiresAt, now);
  const id = newId("key");
  return {
    id,
    namespaceId: above.namespaceId,
    accountId: above.accountId,
    namespaceState: "active",
    name,
    prefix,
    scopes,
    lineage: [...above.lineage, id],
    createdAt: new Date(now),
    expiresAt,
    lastUsedAt: undefined,
    revokedAt: undefined,
    revokedReason: undefined,
  };
}
