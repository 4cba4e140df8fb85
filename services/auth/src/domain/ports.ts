import type { Id } from "@routeplane/domain";
import type { Key, KeyCaller, KeyLineage } from "./keys/key.ts";
import type { Account, NamespaceView, Reach } from "./namespaces/account.ts";
import type { Namespace, NamespaceChange } from "./namespaces/namespace.ts";
import type { Operator, OperatorCaller, OperatorLineage } from "./operators/operator.ts";
import type { ServiceCredential } from "./service-credentials/service-credential.ts";
import type { NamedSession, Session, SessionLineages } from "./sessions/session.ts";
import type { Rotation } from "./rotation.ts";
import type { StoredSecret, TokenHolder } from "./secret.ts";

/** Stores of the domain. Each sees only the rows of the caller's namespace or reach, and treats all others as unknown. */

/** One page of a list that is ordered by id. */
export interface Page<T> {
  readonly rows: readonly T[];
  /** True if there are rows after these. */
  readonly hasMore: boolean;
}

export interface PageRequest<K> {
  /** Maximum number of rows. */
  readonly size: number;
  /** Id that the page starts after; undefined: from the beginning. */
  readonly after: K | undefined;
}

/** The outcome of a change of a key. */
export interface KeyChange {
  /** The changed key; the same object that was read if its row needs no write. */
  readonly key: Key;
  readonly rotation?: Rotation;
}

/** Keys of one namespace at a time. */
export interface KeyStore {
  /**
   * Reads the lineage of the calling key and inserts the key that `build` returns for it, in one transaction.
   *
   * @throws DomainError as `requireCurrentToken` and `requireUnrevoked`
   */
  addSubKey(
    parent: Pick<KeyCaller, "namespaceId" | "keyId"> & TokenHolder,
    secret: StoredSecret,
    build: (parent: KeyLineage) => Key,
  ): Promise<Key>;
  /** @throws DomainError as `requireCurrentToken` and `requireUnrevoked` */
  addRootKey(operator: TokenHolder, key: Key, secret: StoredSecret): Promise<void>;
  find(namespaceId: Id<"ns">, keyId: Id<"key">): Promise<Key | undefined>;
  findLineage(namespaceId: Id<"ns">, keyId: Id<"key">): Promise<KeyLineage | undefined>;
  list(namespaceId: Id<"ns">, page: PageRequest<Id<"key">>): Promise<Page<Key>>;
  /**
   * Locks a key, reads its lineage, and writes the key that `decide` returns for it, in one transaction: changes of one key
   * happen one after the other. Undefined if there is no such key in the caller's namespace.
   *
   * @throws DomainError as `requireCurrentToken` and `requireUnrevoked`
   */
  change(
    caller: Pick<KeyCaller, "namespaceId"> & TokenHolder,
    keyId: Id<"key">,
    decide: (lineage: KeyLineage) => KeyChange,
  ): Promise<Key | undefined>;
  /** Records the use of a key, unless a use within `resolutionMs` before is recorded. */
  touch(namespaceId: Id<"ns">, keyId: Id<"key">, usedAt: Date, resolutionMs: number): Promise<void>;
}

/**
 * Keys that are minted with limits. A mint begins before the limits are bound, and the key exists once the mint is completed. A mint that
 * is not completed within a minute has ended: it is listed by `RevocationLog`, so that its limits are removed.
 */
export interface LimitedKeyStore {
  /** Begins the mint of the key that `build` returns for the lineage of the calling key. @throws DomainError as `requireCurrentToken` and `requireUnrevoked` */
  beginSubKey(caller: KeyCaller, build: (parent: KeyLineage) => Key): Promise<Key>;
  beginRootKey(key: Key): Promise<void>;
  /** Inserts the key. @throws DomainError as `requireCurrentToken` and `requireUnrevoked`; UNAVAILABLE if the mint has ended */
  completeSubKey(caller: KeyCaller, key: Key, secret: StoredSecret): Promise<void>;
  /** Inserts the key. @throws DomainError as `completeSubKey` */
  completeRootKey(operator: OperatorCaller, key: Key, secret: StoredSecret): Promise<void>;
  /** The mint of a key while it is in progress. */
  findMint(namespaceId: Id<"ns">, keyId: Id<"key">): Promise<Mint | undefined>;
}

/** Mint of a key with limits, in progress. */
export interface Mint {
  /** Ids from the root key down to the key. */
  readonly lineage: readonly Id<"key">[];
  /** Origin of the call that mints. */
  readonly origin: Revocation["origin"];
}

/**
 * Binds the limits of a key that is being minted, and resolves to the policy that holds them.
 *
 * @throws DomainError of the policy service; UNAVAILABLE if it does not confirm them
 */
export type BindLimits = (key: Pick<Key, "id" | "namespaceId">) => Promise<Id<"pol">>;

/** Unacknowledged revocation of a key, or unacknowledged end of a key that was minted with limits. */
export interface Revocation {
  readonly namespaceId: Id<"ns">;
  readonly keyId: Id<"key">;
  readonly revokedAt: Date;
  /** Origin of the call that revoked the key, as far as it is recorded. */
  readonly origin: Readonly<Partial<Record<"actorType" | "actorId" | "accountId" | "requestId" | "address", string>>>;
}

/** Revocations of the whole node, kept until everything that refers to their keys is removed. */
export interface RevocationLog {
  /** Lists at most `size` revocations, ordered by namespace and key. @param after namespace and key of the last one of the previous page */
  list(after: { readonly namespaceId: string; readonly keyId: string }, size: number): Promise<readonly Revocation[]>;
  /** Ignores keys that are not listed. */
  acknowledge(keyIds: readonly Id<"key">[]): Promise<void>;
}

/** Credential that a proven secret belongs to. */
export type ProvenCredential =
  | ({ readonly kind: "key"; readonly lineage: KeyLineage } & SecretEnd)
  | ({ readonly kind: "operator"; readonly lineage: OperatorLineage } & SecretEnd)
  | ({ readonly kind: "service"; readonly lineage: readonly [ServiceCredential] } & SecretEnd)
  | ProvenSession;

/** Session that a proven secret belongs to, and the lineages that it depends on, read in the same transaction. */
export interface ProvenSession {
  readonly kind: "session";
  readonly session: Session;
  readonly lineages: SessionLineages;
}

interface SecretEnd {
  /** First moment at which the secret is refused; undefined unless a rotation replaced it. */
  readonly secretEndsAt: Date | undefined;
}

/** Credentials, found by the lookup id of a token before the caller is known. */
export interface SecretStore {
  /**
   * The key that the lookup id belongs to, read in the same transaction as its secret; undefined without one.
   *
   * @param proves true if the caller holds the secret; otherwise nothing of the namespace is read
   */
  findKey(lookupId: string, proves: (secret: StoredSecret) => boolean): Promise<ProvenCredential | undefined>;
  /** The operator credential that the lookup id belongs to; otherwise as `findKey`. */
  findOperator(lookupId: string, proves: (secret: StoredSecret) => boolean): Promise<ProvenCredential | undefined>;
  /** The service credential that the lookup id belongs to; otherwise as `findKey`. */
  findService(lookupId: string, proves: (secret: StoredSecret) => boolean): Promise<ProvenCredential | undefined>;
  /** The session that the lookup id belongs to; otherwise as `findKey`. */
  findSession(lookupId: string, proves: (secret: StoredSecret) => boolean): Promise<ProvenSession | undefined>;
}

/** Credential that opens a session, and the namespace: that of the key or, for an operator credential, one in its reach or none. */
export type SessionOpener =
  | { readonly kind: "key"; readonly namespaceId: Id<"ns">; readonly keyId: Id<"key"> }
  | {
      readonly kind: "operator";
      readonly operatorId: Id<"op">;
      /** Account that the operator credential is limited to. */
      readonly accountId: Id<"acc"> | undefined;
      readonly namespace: { readonly namespaceId: Id<"ns">; readonly accountId: Id<"acc"> } | undefined;
    };

/** A session to open in one transaction. */
export interface SessionOpening {
  readonly opener: SessionOpener;
  readonly secret: StoredSecret;
  readonly now: number;
  /** Returns the session for the lineages as they are in the transaction. */
  readonly build: (lineages: SessionLineages) => Session;
}

/** A code for one sign-in, to be stored. */
export interface NewSignInCode {
  readonly opener: SessionOpener;
  readonly now: number;
  /** Throws if a session could not be opened with the code now. */
  readonly check: (lineages: SessionLineages) => void;
  /** SHA-256 of the code. */
  readonly hash: Buffer;
  readonly expiresAt: Date;
}

/** Filter of a list of sessions. */
export interface SessionFilter {
  /** Only sessions of this key and of keys below it; undefined: all of the view. */
  readonly ofKey: Id<"key"> | undefined;
  /** Only sessions that have neither ended nor expired at this time; undefined: all. */
  readonly liveAt: number | undefined;
}

/**
 * Sessions and sign-in codes. Those of one credential are opened one after the other, so that their number never exceeds the quota. A
 * console key that is missing or revoked is minted in the same transaction.
 */
export interface SessionStore {
  /** @throws DomainError as `requireCurrentToken` and `requireUnrevoked`; RESOURCE_EXHAUSTED if the opener has `MAX_SESSIONS` */
  open(opening: SessionOpening, caller: TokenHolder): Promise<NamedSession>;
  /**
   * Opens a session and ends the one that it replaces, in one transaction.
   *
   * @throws DomainError as `open`; UNAUTHENTICATED if the replaced session has ended
   */
  exchange(
    sessionId: Id<"ses">,
    opening: Omit<SessionOpening, "build"> & {
      readonly build: (lineages: SessionLineages, replaced: Session) => Session;
    },
  ): Promise<NamedSession>;
  /** @throws DomainError as `requireCurrentToken` and `requireUnrevoked`; RESOURCE_EXHAUSTED if the opener has `MAX_CODES` */
  addCode(code: NewSignInCode, caller: TokenHolder): Promise<void>;
  /**
   * Opens the session of a code, on behalf of its opener, and removes the code, in one transaction. Undefined if there is no such code.
   *
   * @throws DomainError as `open`
   */
  redeem(hash: Buffer, opening: Omit<SessionOpening, "opener">): Promise<NamedSession | undefined>;
  find(
    view: NamespaceView,
    sessionId: Id<"ses">,
    filter: Pick<SessionFilter, "ofKey">,
  ): Promise<NamedSession | undefined>;
  list(view: NamespaceView, page: PageRequest<Id<"ses">>, filter: SessionFilter): Promise<Page<NamedSession>>;
  /** Locks a session and writes the one that `decide` returns for it; undefined if there is no such session in the view. */
  change(
    view: NamespaceView,
    sessionId: Id<"ses">,
    decide: (session: NamedSession, lineages: SessionLineages) => NamedSession,
  ): Promise<NamedSession | undefined>;
}

/** The outcome of a change of a service credential. */
export interface ServiceCredentialChange {
  /** The changed credential; the same object that was read if its row needs no write. */
  readonly service: ServiceCredential;
  readonly rotation?: Rotation;
}

/** Service credentials in the caller's reach. */
export interface ServiceCredentialStore {
  /** @throws DomainError ALREADY_EXISTS if an active one of the same account, or of the node, has the name; otherwise as `requireCurrentToken` and `requireUnrevoked` */
  add(operator: OperatorCaller, service: ServiceCredential, secret: StoredSecret): Promise<void>;
  find(reach: Reach, serviceCredentialId: Id<"svc">): Promise<ServiceCredential | undefined>;
  list(reach: Reach, page: PageRequest<Id<"svc">>): Promise<Page<ServiceCredential>>;
  /**
   * Locks a credential and writes the one that `decide` returns for it, in one transaction. Undefined if there is no such
   * credential in the caller's reach.
   *
   * @throws DomainError as `requireCurrentToken` and `requireUnrevoked`
   */
  change(
    operator: OperatorCaller,
    serviceCredentialId: Id<"svc">,
    decide: (service: ServiceCredential) => ServiceCredentialChange,
  ): Promise<ServiceCredential | undefined>;
}

/** The outcome of a change of an operator credential. */
export interface OperatorChange {
  /** The changed credential; the same object that was read if its row needs no write. */
  readonly operator: Operator;
  readonly rotation?: Rotation;
}

/** Operator credentials in the caller's reach. */
export interface OperatorStore {
  /**
   * Reads the lineage of the calling credential and inserts the one that `build` returns for it, in one transaction.
   *
   * @throws DomainError as `requireCurrentToken` and `requireUnrevoked`
   */
  add(parent: OperatorCaller, secret: StoredSecret, build: (parent: OperatorLineage) => Operator): Promise<Operator>;
  find(reach: Reach, operatorId: Id<"op">): Promise<Operator | undefined>;
  list(reach: Reach, page: PageRequest<Id<"op">>): Promise<Page<Operator>>;
  /**
   * Locks a credential, reads its lineage, and writes the one that `decide` returns for it, in one transaction. Undefined if
   * there is no such credential in the caller's reach.
   *
   * @throws DomainError as `requireCurrentToken` and `requireUnrevoked`
   */
  change(
    caller: OperatorCaller,
    operatorId: Id<"op">,
    decide: (lineage: OperatorLineage) => OperatorChange,
  ): Promise<Operator | undefined>;
}

/** Accounts in the caller's reach. */
export interface AccountStore {
  find(reach: Reach, nameOrId: string): Promise<Account | undefined>;
  list(reach: Reach, page: PageRequest<Id<"acc">>): Promise<Page<Account>>;
  /** @throws DomainError ALREADY_EXISTS if the node has an account of this name */
  add(account: Account): Promise<void>;
  /** Undefined if the node has no such account. @throws DomainError ALREADY_EXISTS if another account has the name */
  rename(nameOrId: string, name: string): Promise<Account | undefined>;
}

/** Namespaces in the caller's view. */
export interface NamespaceStore {
  /** @throws DomainError ALREADY_EXISTS if the account has a namespace of this name */
  add(namespace: Namespace): Promise<void>;
  /** @param deletedSince deleted namespaces are listed from this time on; undefined: none of them */
  list(view: NamespaceView, page: PageRequest<Id<"ns">>, deletedSince?: Date): Promise<Page<Namespace>>;
  /**
   * The namespace of that id, or of that name if it is not deleted.
   *
   * @throws DomainError FAILED_PRECONDITION if several accounts have a namespace of this name
   */
  find(view: NamespaceView, nameOrId: string): Promise<Namespace | undefined>;
  /**
   * Locks a namespace and writes the one that `change` returns for it; undefined if there is no such namespace.
   *
   * @throws DomainError ALREADY_EXISTS if another namespace of the account has the new name; otherwise as `find`
   */
  change(reach: Reach, nameOrId: string, change: NamespaceChange): Promise<Namespace | undefined>;
}

/** The node as a whole. */
export interface NodeStore {
  /**
   * Adds the account, the namespace and the operator credential that a new node starts with, in one transaction.
   *
   * @throws DomainError FAILED_PRECONDITION if the node has a first operator credential, or an account of this name
   */
  setUp(account: Account, namespace: Namespace, operator: Operator, secret: StoredSecret): Promise<void>;
}
