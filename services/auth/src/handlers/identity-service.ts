import type { ServiceImpl } from "@connectrpc/connect";
import type { IdentityService } from "@routeplane/contracts/auth";
import { notFound } from "@routeplane/domain";
import { credentialPrincipalOf, toTimestamp } from "@routeplane/rpc";
import { parentOf } from "../domain/keys/key.ts";
import { reachOf } from "../domain/namespaces/account.ts";
import type { AccountStore, KeyStore, NamespaceStore, OperatorStore } from "../domain/ports.ts";
import { toProtoAccount } from "./convert-namespace.ts";

export interface IdentityStores {
  readonly keys: KeyStore;
  readonly accounts: AccountStore;
  readonly namespaces: NamespaceStore;
  readonly operators: OperatorStore;
}

export function identityService({
  keys,
  accounts,
  namespaces,
  operators,
}: IdentityStores): ServiceImpl<typeof IdentityService> {
  return {
    async whoAmI(_request, context) {
      const principal = credentialPrincipalOf(context);
      const { accountId, scopes, expiresAt, graceEndsAt, sessionId = "" } = principal;
      const account = accountId && (await accounts.find({ accountId }, accountId));
      if (accountId !== undefined && account === undefined) throw notFound();
      const owner = account ? { account: toProtoAccount(account) } : {};
      const grant = {
        scopes: [...scopes],
        ...(expiresAt && { expiresAt: toTimestamp(expiresAt) }),
        ...(graceEndsAt && { graceEndsAt: toTimestamp(graceEndsAt) }),
        sessionId,
      };
      if (principal.kind === "operator") {
        const { operatorId } = principal;
        const operator = await operators.find(reachOf(principal), operatorId);
        const value = { operatorId, name: operator?.name ?? "", ...grant };
        return { ...owner, identity: { case: "operator", value } };
      }
      const { keyId, namespaceId } = principal;
      const [key, namespace] = await Promise.all([
        keys.find(namespaceId, keyId),
        namespaces.find({ namespaceId }, namespaceId),
      ]);
      if (key === undefined) throw notFound();
      const { name, prefix, createdAt } = key;
      const ofKey = { keyId, name, prefix, parentId: parentOf(key) ?? "", createdAt: toTimestamp(createdAt) };
      const value = { ...ofKey, namespaceId, namespaceName: namespace?.name ?? "", ...grant };
      return { ...owner, identity: { case: "key", value } };
    },
  };
}
