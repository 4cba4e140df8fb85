import type { Id } from "@routeplane/domain";
import type { KeyCaller } from "./keys/key-change.ts";
import type { Key, KeyLineage } from "./keys/key.ts";
import type { Namespace, NamespaceChange } from "./namespaces/namespace.ts";
import type { Account, NamespaceView, Reach } from "./namespaces/account.ts";
import type { Operator, OperatorLineage } from "./operators/operator.ts";
import type { OperatorCaller } from "./operators/operator-lifecycle.ts";
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
  /**
   * Reads the lineage of the calling key and adds what `build` makes of it, in one transaction.
   *
   * @throws DomainError as `requireCurrentToken`
   */
  addSubKey(
    parent: Pick<KeyCaller, "namespaceId" | "keyId" | "lookupId">,
    secret: StoredSecret,
    build: (parent: KeyLineage) => Key,
  ): Promise<Key>;
  /** @throws DomainError as `requireCurrentToken` */
  addRootKey(operator: Pick<OperatorCaller, "lookupId">, key: Key, secret: StoredSecret): Promise<void>;
  find(namespaceId: Id<"ns">, keyId: Id<"key">): Promise<Key | undefined>;
  findLineage(namespaceId: Id<"ns">, keyId: Id<"key">): Promise<KeyLineage | undefined>;
  list(namespaceId: Id<"ns">, page: PageRequest<Id<"key">>): Promise<Page<Key>>;
  /**
   * Locks a key, reads its lineage as it is then, and writes what `decide` makes of its last key, in one transaction:
   * changes of one key happen one after the other. Undefined if there is none in the caller's namespace.
   *
   * @throws DomainError as `requireCurrentToken`
   */
  change(
    caller: Pick<KeyCaller, "namespaceId" | "lookupId">,
    keyId: Id<"key">,
    decide: (lineage: KeyLineage) => KeyChange,
  ): Promise<Key | undefined>;
  /** Writes down that a key was used, unless a use of less than `resolutionMs` ago is. */
  touch(namespaceId: Id<"ns">, keyId: Id<"key">, at: Date, resolutionMs: number): Promise<void>;
}

/** The key that a proven secret stands for. */
export interface ProvenKey {
  readonly lineage: KeyLineage;
  /** From when on the secret is refused; undefined unless a rotation replaced it. */
  readonly secretEndsAt: Date | undefined;
}

/** The operator credential that a proven secret stands for. */
export interface ProvenOperator {
  readonly lineage: OperatorLineage;
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
  /** As `findKey`, of an operator credential. */
  findOperator(lookupId: string, proves: (secret: StoredSecret) => boolean): Promise<ProvenOperator | undefined>;
}

/** What becomes of an operator credential. The very object that it was: nothing of it is written. */
export interface OperatorChange {
  readonly operator: Operator;
  readonly rotation?: Rotation;
}

/** Operator credentials, as far as somebody sees them: those of an account, or all of the node. */
export interface OperatorStore {
  /**
   * Reads the lineage of the calling one and adds what `build` makes of it, in one transaction.
   *
   * @throws DomainError as `requireCurrentToken`
   */
  add(parent: OperatorCaller, secret: StoredSecret, build: (parent: OperatorLineage) => Operator): Promise<Operator>;
  find(reach: Reach, operatorId: Id<"op">): Promise<Operator | undefined>;
  list(reach: Reach, page: PageRequest<Id<"op">>): Promise<Page<Operator>>;
  /**
   * Locks one, reads its lineage as it is then, and writes what `decide` makes of its last one, in one transaction. Undefined
   * if there is none in the caller's reach.
   *
   * @throws DomainError as `requireCurrentToken`
   */
  change(
    caller: OperatorCaller,
    operatorId: Id<"op">,
    decide: (lineage: OperatorLineage) => OperatorChange,
  ): Promise<Operator | undefined>;
}

/** Accounts, as far as somebody sees them. */
export interface AccountStore {
  find(reach: Reach, nameOrId: string): Promise<Account | undefined>;
  list(reach: Reach, page: PageRequest<Id<"acc">>): Promise<Page<Account>>;
  /** @throws DomainError ALREADY_EXISTS if the node has one of this name */
  add(account: Account): Promise<void>;
  /** Undefined if the node has no such account. @throws DomainError ALREADY_EXISTS if another one has the name */
  rename(nameOrId: string, name: string): Promise<Account | undefined>;
}

/** Namespaces, as far as somebody sees them. */
export interface NodeStore {
  /** @throws DomainError ALREADY_EXISTS if the account has one of this name. */
  addNamespace(namespace: Namespace): Promise<void>;
  /** @param deletedSince deleted ones are listed from this moment on; undefined: none of them */
  listNamespaces(view: NamespaceView, page: PageRequest<Id<"ns">>, deletedSince?: Date): Promise<Page<Namespace>>;
  /**
   * By id, or by name if it is not deleted.
   *
   * @throws DomainError FAILED_PRECONDITION if several accounts have one of this name
   */
  findNamespace(view: NamespaceView, nameOrId: string): Promise<Namespace | undefined>;
  /**
   * Writes what `change` makes of it, under its lock; undefined if there is none.
   *
   * @throws DomainError ALREADY_EXISTS if another one of the account has its name; otherwise as `findNamespace`
   */
  changeNamespace(reach: Reach, nameOrId: string, change: NamespaceChange): Promise<Namespace | undefined>;
  /**
   * What a new node starts with. @throws DomainError FAILED_PRECONDITION if the node has a first operator credential, or an
   * account of this name.
   */
  setUp(account: Account, namespace: Namespace, operator: Operator, secret: StoredSecret): Promise<void>;
}
