import { type Clock, type Id, newId } from "@routeplane/domain";
import { type Namespace, newNamespace } from "./namespace.ts";

/** Who owns namespaces on a node. */
export interface Account {
  readonly id: Id<"acc">;
  readonly name: string;
  readonly createdAt: Date;
}

/** An operator credential, without its secret. */
export interface Operator {
  readonly id: Id<"op">;
  readonly accountId: Id<"acc">;
  readonly name: string;
  readonly createdAt: Date;
  readonly revokedAt: Date | undefined;
}

/** What a new node starts with. */
export function newNode(clock: Clock): { account: Account; namespace: Namespace; operator: Operator } {
  const createdAt = new Date(clock());
  const account: Account = { id: newId("acc"), name: "default", createdAt };
  const operator: Operator = {
    id: newId("op"),
    accountId: account.id,
    name: "bootstrap",
    createdAt,
    revokedAt: undefined,
  };
  return { account, namespace: newNamespace(account.id, "default", clock), operator };
}
