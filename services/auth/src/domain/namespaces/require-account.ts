import { invalidField, notFound } from "@routeplane/domain";
import type { AccountStore } from "../ports.ts";
import type { Account, Reach } from "./account.ts";

/**
 * Finds the account with a name or id; if none is named, the only account in reach.
 *
 * @throws DomainError NOT_FOUND for an account out of reach; INVALID_ARGUMENT if none is named and several are in reach
 */
export async function requireAccount(
  accounts: AccountStore,
  reach: Reach,
  nameOrId: string | undefined,
): Promise<Account> {
  if (nameOrId !== undefined) {
    const account = await accounts.find(reach, nameOrId);
    if (account === undefined) throw notFound();
    return account;
  }
  const { rows, hasMore } = await accounts.list(reach, { size: 1, after: undefined });
  const [account] = rows;
  if (account === undefined) throw notFound();
  if (hasMore) throw invalidField("account", "must name an account, because this node has several");
  return account;
}
