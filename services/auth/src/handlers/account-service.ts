import type { ServiceImpl } from "@connectrpc/connect";
import { AccountSchema, type AccountService } from "@routeplane/contracts/auth";
import { type Clock, notFound } from "@routeplane/domain";
import { operatorPrincipalOf, type PagedList, toProtoPage } from "@routeplane/rpc";
import { type Account, newAccount, reachOf, requireWholeNode } from "../domain/namespaces/account.ts";
import type { AccountStore } from "../domain/ports.ts";
import { toProtoAccount } from "./convert-namespace.ts";
import { fromProtoPage } from "./convert-page.ts";

const LIST: PagedList<Account, typeof AccountSchema> = {
  list: "accounts",
  schema: AccountSchema,
  toProto: toProtoAccount,
  positionOf: ({ id }) => id,
};

export function accountService(accounts: AccountStore, clock: Clock): ServiceImpl<typeof AccountService> {
  return {
    async createAccount({ name }, context) {
      requireWholeNode(operatorPrincipalOf(context));
      const account = newAccount(name, clock);
      await accounts.add(account);
      return { account: toProtoAccount(account) };
    },

    async listAccounts(request, context) {
      const reach = reachOf(operatorPrincipalOf(context));
      const page = await accounts.list(reach, fromProtoPage(LIST.list, "acc", request));
      const { messages, nextPageToken } = toProtoPage(page, LIST);
      return { accounts: messages, nextPageToken };
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
