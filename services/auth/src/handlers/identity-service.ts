import type { ServiceImpl } from "@connectrpc/connect";
import type { IdentityService } from "@routeplane/contracts/auth";
import { notFound } from "@routeplane/domain";
import { principalOf, toTimestamp } from "@routeplane/rpc";
import type { KeyStore, NodeStore } from "../domain/ports.ts";

export function identityService(keys: KeyStore, nodes: NodeStore): ServiceImpl<typeof IdentityService> {
  return {
    async whoAmI(_request, context) {
      const principal = principalOf(context);
      if (principal.kind === "service") throw new Error("WhoAmI was let in for a service");
      const account = await nodes.findAccount(principal.accountId);
      if (account === undefined) throw notFound();
      const named = { account: { id: account.id, name: account.name } };
      if (principal.kind === "operator") {
        const { operatorId } = principal;
        const operator = await nodes.findOperator(principal.accountId, operatorId);
        return { ...named, identity: { case: "operator", value: { operatorId, name: operator?.name ?? "" } } };
      }
      const { keyId, namespaceId, scopes, expiresAt } = principal;
      const [key, namespace] = await Promise.all([
        keys.find(namespaceId, keyId),
        nodes.findNamespace(principal.accountId, namespaceId),
      ]);
      const value = {
        keyId,
        name: key?.name ?? "",
        namespaceId,
        namespaceName: namespace?.name ?? "",
        scopes: [...scopes],
        ...(expiresAt && { expiresAt: toTimestamp(expiresAt) }),
      };
      return { ...named, identity: { case: "key", value } };
    },
  };
}
