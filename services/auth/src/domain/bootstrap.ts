import { parseToken, type Peppers } from "@routeplane/credentials";
import { type Clock, type Id, invalidField } from "@routeplane/domain";
import { newNode } from "./node.ts";
import type { NodeStore, SecretStore } from "./ports.ts";
import { provesSecret, toStoredSecret } from "./secret.ts";

export interface BootstrapDependencies {
  readonly nodes: NodeStore;
  readonly secrets: SecretStore;
  readonly peppers: Peppers;
  readonly clock: Clock;
}

/** Without a namespace id if the operator has renamed or deleted `default` since. */
export type Bootstrap = (operatorToken: string) => Promise<{ accountId: Id<"acc">; namespaceId: Id<"ns"> | undefined }>;

/** Sets up an empty node around an operator token that the installer chose. Idempotent for the same token. */
export function createBootstrap({ nodes, secrets, peppers, clock }: BootstrapDependencies): Bootstrap {
  return async (operatorToken) => {
    const token = parseToken(operatorToken);
    if (token?.kind !== "operator")
      throw invalidField("operator_token", "must be a well-formed operator token (rpo_…)");
    const known = await secrets.findOperator(token.lookupId);
    if (known !== undefined && provesSecret(token, known.secret, peppers)) {
      const namespace = await nodes.findNamespace(known.operator.accountId, "default");
      return { accountId: known.operator.accountId, namespaceId: namespace?.id };
    }
    const { account, namespace, operator } = newNode(clock);
    await nodes.addAccount(account, namespace, operator, toStoredSecret(token, peppers));
    return { accountId: account.id, namespaceId: namespace.id };
  };
}
