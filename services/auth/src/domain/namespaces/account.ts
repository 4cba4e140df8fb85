import { type Clock, DomainError, type Id, newId } from "@routeplane/domain";

/** Owner of namespaces on a node. */
export interface Account {
  readonly id: Id<"acc">;
  /** Unique on the node. */
  readonly name: string;
  readonly createdAt: Date;
}

/** The accounts that a caller can see and act on: one, or all of the node. */
export type Reach = { readonly accountId: Id<"acc"> } | { readonly node: true };

/** The namespaces that a caller can see: a key its own, an operator credential all in its reach. */
export type NamespaceView = Reach | { readonly namespaceId: Id<"ns"> };

/** Reach of a key, or of an operator credential, which may be limited to one account. */
export function reachOf({ accountId }: { readonly accountId: Id<"acc"> | undefined }): Reach {
  return accountId === undefined ? { node: true } : { accountId };
}

export function newAccount(name: string, clock: Clock): Account {
  return { id: newId("acc"), name, createdAt: new Date(clock()) };
}

/** @throws DomainError PERMISSION_DENIED for an operator credential that is limited to an account */
export function requireWholeNode({ accountId }: { readonly accountId: Id<"acc"> | undefined }): void {
  if (accountId === undefined) return;
  const message = "this is about the whole node, and your operator credential is limited to one account";
  throw new DomainError("permission_denied", "ACCOUNT_LIMITED", message);
}
