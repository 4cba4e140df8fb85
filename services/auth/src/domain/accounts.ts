import { invalidField, notFound } from "@routeplane/domain";
import type { Account, Reach } from "./node.ts";
import type { NodeStore } from "./ports.ts";

/**
 * The account that a caller means: the one that it names, or else the only one that it reaches.
 *
 * @throws DomainError NOT_FOUND for one that it does not reach; INVALID_ARGUMENT if it names none and reaches several
 */
export async function accountFor(
  nodes: Pick<NodeStore, "findAccount" | "listAccounts">,
  reach: Reach,
  nameOrId: string | undefined,
): Promise<Account> {
  if (nameOrId !== undefined) {
    const account = await nodes.findAccount(reach, nameOrId);
    if (account === undefined) throw notFound();
    return account;
  }
  const { rows, more } = await nodes.listAccounts(reach, { size: 1, after: undefined });
  const [only] = rows;
  if (only === undefined) throw notFound();
  if (more) throw invalidField("account", "must name an account, because this node has several");
  return only;
}
