import { parseToken, type Peppers, tokenPrefix } from "@routeplane/credentials";
import { type Clock, type Id, invalidField } from "@routeplane/domain";
import { newAccount } from "./namespaces/account.ts";
import { newNamespace } from "./namespaces/namespace.ts";
import { firstOperator } from "./operators/operator.ts";
import type { AccountStore, NamespaceStore, NodeStore, SecretStore } from "./ports.ts";
import { provesSecret, toStoredSecret } from "./secret.ts";

export interface BootstrapDependencies {
  readonly accounts: AccountStore;
  readonly namespaces: NamespaceStore;
  readonly nodes: NodeStore;
  readonly secrets: SecretStore;
  readonly peppers: Peppers;
  readonly clock: Clock;
}

/** Ids of the account and the namespace `default`; undefined for one that was renamed or deleted since. */
export interface BootstrappedNode {
  readonly accountId: Id<"acc"> | undefined;
  readonly namespaceId: Id<"ns"> | undefined;
}

/** @throws DomainError INVALID_ARGUMENT for a malformed token; FAILED_PRECONDITION as `NodeStore.setUp` */
export type Bootstrap = (operatorToken: string) => Promise<BootstrappedNode>;

/** Sets up an empty node around an operator token that the installer chose. Idempotent for the same token. */
export function createBootstrap(dependencies: BootstrapDependencies): Bootstrap {
  const { accounts, namespaces, nodes, secrets, peppers, clock } = dependencies;
  return async (operatorToken) => {
    const token = parseToken(operatorToken);
    if (token?.kind !== "operator")
      throw invalidField("operator_token", "must be a well-formed operator token (rpo_…)");
    const isSetUp = async (): Promise<boolean> =>
      (await secrets.findOperator(token.lookupId, (secret) => provesSecret(token, secret, peppers))) !== undefined;
    const findNode = async (): Promise<BootstrappedNode> => {
      const account = await accounts.find({ node: true }, "default");
      const namespace = account && (await namespaces.find({ accountId: account.id }, "default"));
      return { accountId: account?.id, namespaceId: namespace?.id };
    };
    if (await isSetUp()) return findNode();
    const account = newAccount("default", clock);
    const namespace = newNamespace(account.id, "default", clock);
    const operator = firstOperator(tokenPrefix(token), clock());
    try {
      await nodes.setUp(account, namespace, operator, toStoredSecret(token, peppers));
    } catch (error) {
      // A concurrent call with the same token may have been first.
      if (await isSetUp()) return findNode();
      throw error;
    }
    return { accountId: account.id, namespaceId: namespace.id };
  };
}
