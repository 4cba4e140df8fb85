import { DomainError, type Id, invalidField, notFound } from "@routeplane/domain";
import type { Account, Reach } from "./account.ts";
import type { AccountStore } from "../ports.ts";

/**
 * The account that a caller means: the one that it names, or else the only one that it reaches.
 *
 * @throws DomainError NOT_FOUND for one that it does not reach; INVALID_ARGUMENT if it names none and reaches several
 */
export async function accountFor(accounts: AccountStore, reach: Reach, nameOrId: string | undefined): Promise<Account> {
  if (nameOrId !== undefined) {
    const account = await accounts.find(reach, nameOrId);
    if (account === undefined) throw notFound();
    return account;
  }
  const { rows, more } = await accounts.list(reach, { size: 1, after: undefined });
  const [only] = rows;
  if (only === undefined) throw notFound();
  if (more) throw invalidField("account", "must name an account, because this node has several");
  return only;
}

/** @throws DomainError PERMISSION_DENIED for an operator that is limited to an account */
export function requireWholeNode({ accountId }: { readonly accountId: Id<"acc"> | undefined }): void {
  if (accountId === undefined) return;
  const message = "this is about the whole node, and your operator credential is limited to one account";
  throw new DomainError("permission_denied", "ACCOUNT_LIMITED", message);
}
