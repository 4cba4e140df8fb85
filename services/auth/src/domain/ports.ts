import type { Id } from "@routeplane/domain";
import type { Key, Lineage } from "./key.ts";
import type { Namespace, NamespaceChange } from "./namespace.ts";
import type { Account, Operator } from "./node.ts";
import type { StoredSecret } from "./secret.ts";

/** A page of a list in order of id, and whether there is more. */
export interface Page<T> {
  readonly rows: readonly T[];
  readonly more: boolean;
}

export interface PageRequest<K> {
  readonly size: number;
  /** Start after this id; undefined: from the beginning. */
  readonly after: K | undefined;
}

/** Keys of one namespace at a time. A key of another is as good as none. */
export interface KeyStore {
  /** Reads the lineage of `parentId` and adds what `build` makes of it, in one transaction. */
  addSubKey(
    namespaceId: Id<"ns">,
    parentId: Id<"key">,
    secret: StoredSecret,
    build: (parent: Lineage) => Key,
  ): Promise<Key>;
  addRootKey(key: Key, secret: StoredSecret): Promise<void>;
  find(namespaceId: Id<"ns">, keyId: Id<"key">): Promise<Key | undefined>;
  findLineage(namespaceId: Id<"ns">, keyId: Id<"key">): Promise<Lineage | undefined>;
  list(namespaceId: Id<"ns">, page: PageRequest<Id<"key">>): Promise<Page<Key>>;
  /** Marks it revoked, unless it is already; undefined if there is none. */
  revoke(namespaceId: Id<"ns">, keyId: Id<"key">, at: Date): Promise<Key | undefined>;
  touch(namespaceId: Id<"ns">, keyId: Id<"key">, at: Date): Promise<void>;
}

/** Finds what a token's lookup id belongs to, before anything else is known of the caller. */
export interface SecretStore {
  /**
   * The lineage of the key that the id belongs to, read in the same transaction as its secret; undefined if there is none.
   *
   * @param proves whether the caller holds that secret. If not, nothing of the namespace is read.
   */
  findLineage(lookupId: string, proves: (secret: StoredSecret) => boolean): Promise<Lineage | undefined>;
  findOperator(lookupId: string): Promise<{ readonly operator: Operator; readonly secret: StoredSecret } | undefined>;
}

/** Accounts and what they own. */
export interface NodeStore {
  findAccount(accountId: Id<"acc">): Promise<Account | undefined>;
  findOperator(accountId: Id<"acc">, operatorId: Id<"op">): Promise<Operator | undefined>;
  /** @throws DomainError ALREADY_EXISTS if the account has one of this name. */
  addNamespace(namespace: Namespace): Promise<void>;
  /** @param deletedSince deleted ones are listed from this moment on; undefined: none of them */
  listNamespaces(accountId: Id<"acc">, page: PageRequest<Id<"ns">>, deletedSince?: Date): Promise<Page<Namespace>>;
  /** By id, or by name if it is not deleted. */
  findNamespace(accountId: Id<"acc">, nameOrId: string): Promise<Namespace | undefined>;
  /**
   * Writes what `change` makes of it, under its lock; undefined if there is none.
   *
   * @throws DomainError ALREADY_EXISTS if another one of the account has its name
   */
  changeNamespace(accountId: Id<"acc">, nameOrId: string, change: NamespaceChange): Promise<Namespace | undefined>;
  /** @throws DomainError FAILED_PRECONDITION if the node has an account of this name. */
  addAccount(account: Account, namespace: Namespace, operator: Operator, secret: StoredSecret): Promise<void>;
}
