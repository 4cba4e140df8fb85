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

/** What becomes of a key. The very object that it was: nothing of it is written. */
export interface KeyChange {
  readonly key: Key;
  readonly rotation?: Rotation;
}

/** A new secret of a key, and what becomes of those that it has. None is ever given longer than it had. */
export interface Rotation {
  readonly secret: StoredSecret;
  /** First moment at which the secret that the key had until now is refused. */
  readonly graceEndsAt: Date;
  /** Whether that goes for those too that an earlier rotation replaced; otherwise they keep the end that it set. */
  readonly endsAll: boolean;
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
  /**
   * Locks a key, reads its lineage as it is then, and writes what `decide` makes of its last key, in one transaction:
   * changes of one key happen one after the other. Undefined if there is none.
   */
  change(namespaceId: Id<"ns">, keyId: Id<"key">, decide: (lineage: Lineage) => KeyChange): Promise<Key | undefined>;
  touch(namespaceId: Id<"ns">, keyId: Id<"key">, at: Date): Promise<void>;
}

/** The key that a proven secret stands for. */
export interface ProvenKey {
  readonly lineage: Lineage;
  /** From when on the secret is refused; undefined unless a rotation replaced it. */
  readonly secretEndsAt: Date | undefined;
}

/** Finds what a token's lookup id belongs to, before anything else is known of the caller. */
export interface SecretStore {
  /**
   * The key that the id belongs to, read in the same transaction as its secret; undefined if there is none.
   *
   * @param proves whether the caller holds that secret. If not, nothing of the namespace is read.
   */
  findKey(lookupId: string, proves: (secret: StoredSecret) => boolean): Promise<ProvenKey | undefined>;
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
