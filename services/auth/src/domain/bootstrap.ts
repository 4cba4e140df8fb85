import { parseToken, type Peppers, tokenPrefix } from "@routeplane/credentials";
import { type Clock, type Id, invalidField } from "@routeplane/domain";
import { newNode } from "./namespaces/account.ts";
import type { AccountStore, NodeStore, SecretStore } from "./ports.ts";
import { provesSecret, toStoredSecret } from "./secret.ts";

export interface BootstrapDependencies {
  readonly accounts: AccountStore;
  readonly nodes: NodeStore;
  readonly secrets: SecretStore;
  readonly peppers: Peppers;
  readonly clock: Clock;
}

/** Without the id of what is not called `default` any more: the operator has renamed it, or deleted the namespace. */
export type Bootstrap = (
  operatorToken: string,
) => Promise<{ accountId: Id<"acc"> | undefined; namespaceId: Id<"ns"> | undefined }>;

/** Sets up an empty node around an operator token that the installer chose. Idempotent for the same token. */
export function createBootstrap({ accounts, nodes, secrets, peppers, clock }: BootstrapDependencies): Bootstrap {
  return async (operatorToken) => {
    const token = parseToken(operatorToken);
    if (token?.kind !== "operator")
      throw invalidField("operator_token", "must be a well-formed operator token (rpo_…)");
    const known = await secrets.findOperator(token.lookupId, (secret) => provesSecret(token, secret, peppers));
    if (known !== undefined) {
      const account = await accounts.find({ node: true }, "default");
      const namespace = account && (await nodes.findNamespace({ accountId: account.id }, "default"));
      return { accountId: account?.id, namespaceId: namespace?.id };
    }
    const { account, namespace, operator } = newNode(tokenPrefix(token), clock);
    await nodes.setUp(account, namespace, operator, toStoredSecret(token, peppers));
    return { accountId: account.id, namespaceId: namespace.id };
  };
}
