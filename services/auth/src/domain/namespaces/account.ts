import { type Clock, type Id, newId } from "@routeplane/domain";
import { type Namespace, newNamespace } from "./namespace.ts";
import { firstOperator, type Operator } from "../operators/operator.ts";

/** Who owns namespaces on a node. */
export interface Account {
  readonly id: Id<"acc">;
  readonly name: string;
  readonly createdAt: Date;
}

/** What somebody sees of what is above namespaces: one account, or the whole node. */
export type Reach = { readonly accountId: Id<"acc"> } | { readonly node: true };

/** Namespaces that a caller sees: a key only its own, an operator credential all in its reach. */
export type NamespaceView = Reach | { readonly namespaceId: Id<"ns"> };

/** Of a key, or of an operator credential that may be limited to an account. */
export function reachOf({ accountId }: { readonly accountId: Id<"acc"> | undefined }): Reach {
  return accountId === undefined ? { node: true } : { accountId };
}

export function newAccount(name: string, clock: Clock): Account {
  return { id: newId("acc"), name, createdAt: new Date(clock()) };
}

/** What a new node starts with. */
export function newNode(
  operatorPrefix: string,
  clock: Clock,
): { account: Account; namespace: Namespace; operator: Operator } {
  const account = newAccount("default", clock);
  return {
    account,
    namespace: newNamespace(account.id, "default", clock),
    operator: firstOperator(operatorPrefix, clock()),
  };
}
