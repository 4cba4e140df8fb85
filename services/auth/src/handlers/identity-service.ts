import type { ServiceImpl } from "@connectrpc/connect";
import type { IdentityService } from "@routeplane/contracts/auth";
import { notFound } from "@routeplane/domain";
import { principalOf, toTimestamp } from "@routeplane/rpc";
import { reachOf } from "../domain/namespaces/account.ts";
import type { AccountStore, KeyStore, NodeStore, OperatorStore } from "../domain/ports.ts";
import { toProtoAccount } from "./convert.ts";

export function identityService(
  keys: KeyStore,
  accounts: AccountStore,
  nodes: NodeStore,
  operators: OperatorStore,
): ServiceImpl<typeof IdentityService> {
  return {
    async whoAmI(_request, context) {
      const principal = principalOf(context);
      if (principal.kind === "service") throw new Error("WhoAmI was let in for a service");
      const { accountId, scopes, expiresAt, graceEndsAt } = principal;
      const account = accountId && (await accounts.find({ accountId }, accountId));
      if (accountId !== undefined && account === undefined) throw notFound();
      const named = account ? { account: toProtoAccount(account) } : {};
      const now = {
        scopes: [...scopes],
        ...(expiresAt && { expiresAt: toTimestamp(expiresAt) }),
        ...(graceEndsAt && { graceEndsAt: toTimestamp(graceEndsAt) }),
      };
      if (principal.kind === "operator") {
        const { operatorId } = principal;
        const operator = await operators.find(reachOf(principal), operatorId);
        return { ...named, identity: { case: "operator", value: { operatorId, name: operator?.name ?? "", ...now } } };
      }
      const { keyId, namespaceId } = principal;
      const [key, namespace] = await Promise.all([
        keys.find(namespaceId, keyId),
        nodes.findNamespace({ namespaceId }, namespaceId),
      ]);
      const value = {
        keyId,
        name: key?.name ?? "",
        namespaceId,
        namespaceName: namespace?.name ?? "",
        ...now,
      };
      return { ...named, identity: { case: "key", value } };
    },
  };
}
