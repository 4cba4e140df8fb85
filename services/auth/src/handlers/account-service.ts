import type { ServiceImpl } from "@connectrpc/connect";
import type { AccountService } from "@routeplane/contracts/auth";
import { type Clock, notFound, parseId } from "@routeplane/domain";
import { fromPageToken, operatorPrincipalOf, toPageToken } from "@routeplane/rpc";
import { newAccount, reachOf, requireWholeNode } from "../domain/namespaces/account.ts";
import type { AccountStore } from "../domain/ports.ts";
import { toProtoAccount } from "./convert-namespace.ts";

const DEFAULT_PAGE_SIZE = 100;
const LIST = "accounts";

export function accountService(accounts: AccountStore, clock: Clock): ServiceImpl<typeof AccountService> {
  return {
    async createAccount({ name }, context) {
      requireWholeNode(operatorPrincipalOf(context));
      const account = newAccount(name, clock);
      await accounts.add(account);
      return { account: toProtoAccount(account) };
    },

    async listAccounts({ pageSize, pageToken }, context) {
      const after = fromPageToken(LIST, pageToken, (id) => parseId("acc", id));
      const page = { size: pageSize || DEFAULT_PAGE_SIZE, after };
      const { rows, more } = await accounts.list(reachOf(operatorPrincipalOf(context)), page);
      const last = rows.at(-1);
      return { accounts: rows.map(toProtoAccount), nextPageToken: more && last ? toPageToken(LIST, last.id) : "" };
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
