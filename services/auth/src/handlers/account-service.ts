import type { ServiceImpl } from "@connectrpc/connect";
import type { AccountService } from "@routeplane/contracts/auth";
import { type Clock, notFound } from "@routeplane/domain";
import { operatorPrincipalOf } from "@routeplane/rpc";
import { newAccount, reachOf, requireWholeNode } from "../domain/namespaces/account.ts";
import type { AccountStore } from "../domain/ports.ts";
import { toProtoAccount } from "./convert-namespace.ts";
import { fromProtoPage, toProtoNextPageToken } from "./convert-page.ts";

const LIST = "accounts";

export function accountService(accounts: AccountStore, clock: Clock): ServiceImpl<typeof AccountService> {
  return {
    async createAccount({ name }, context) {
      requireWholeNode(operatorPrincipalOf(context));
      const account = newAccount(name, clock);
      await accounts.add(account);
      return { account: toProtoAccount(account) };
    },

    async listAccounts(request, context) {
      const page = await accounts.list(reachOf(operatorPrincipalOf(context)), fromProtoPage(LIST, "acc", request));
      return { accounts: page.rows.map(toProtoAccount), nextPageToken: toProtoNextPageToken(LIST, page) };
    },

    async getAccount({ account: nameOrId }, context) {
      const account = await accounts.find(reachOf(operatorPrincipalOf(context)), nameOrId);
      if (account === undefined) throw notFound();
      return { account: toProtoAccount(account) };
    },

    async renameAccount({ account: nameOrId, name }, context) {
      requireWholeNode(operatorPrincipalOf(context));
      const account = await accounts.rename(nameOrId, name);
      if (account === undefined) throw notFound();
      return { account: toProtoAccount(account) };
    },
  };
}
