import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { NamespaceService } from "@routeplane/contracts/auth";
import { type Clock, type Id, notFound, parseId } from "@routeplane/domain";
import { fromPageToken, operatorPrincipalOf, principalOf, toPageToken } from "@routeplane/rpc";
import { accountFor } from "../domain/namespaces/find-account.ts";
import {
  deletedSince,
  isKnown,
  type NamespaceChange,
  newNamespace,
  remove,
  rename,
  restore,
  resume,
  suspend,
} from "../domain/namespaces/namespace.ts";
import { type NamespaceView, type Reach, reachOf } from "../domain/namespaces/account.ts";
import type { AccountStore, NodeStore } from "../domain/ports.ts";
import { toProtoNamespace } from "./convert.ts";

const DEFAULT_PAGE_SIZE = 100;

export function namespaceService(
  accounts: AccountStore,
  nodes: NodeStore,
  clock: Clock,
): ServiceImpl<typeof NamespaceService> {
  /** Changes one that can be named, on behalf of an operator. */
  async function changed(nameOrId: string, context: HandlerContext, change: NamespaceChange) {
    const reach = reachOf(operatorPrincipalOf(context));
    const namespace = await nodes.changeNamespace(reach, nameOrId, (before) => {
      if (!isKnown(before, clock())) throw notFound();
      return change(before);
    });
    if (namespace === undefined) throw notFound();
    return { namespace: toProtoNamespace(namespace, undefined) };
  }

  /** The caller's view of one account. @throws DomainError as `accountFor` */
  async function narrowed(context: HandlerContext, account: string): Promise<NamespaceView> {
    const { view, reach } = viewOf(context);
    const { id } = await accountFor(accounts, reach, account);
    return "namespaceId" in view ? view : { accountId: id };
  }

  return {
    async createNamespace({ name, account }, context) {
      const owner = await accountFor(accounts, reachOf(operatorPrincipalOf(context)), account || undefined);
      const namespace = newNamespace(owner.id, name, clock);
      await nodes.addNamespace(namespace);
      return { namespace: toProtoNamespace(namespace, undefined) };
    },

    async listNamespaces({ pageSize, pageToken, showDeleted, account }, context) {
      const { view, active } = viewOf(context);
      const within = account === "" ? view : await narrowed(context, account);
      const after = fromPageToken("namespaces", pageToken, (id) => parseId("ns", id));
      const page = { size: pageSize || DEFAULT_PAGE_SIZE, after };
      const since = showDeleted ? deletedSince(clock()) : undefined;
      const { rows, more } = await nodes.listNamespaces(within, page, since);
      const last = rows.at(-1);
      return {
        namespaces: rows.map((namespace) => toProtoNamespace(namespace, active)),
        nextPageToken: more && last ? toPageToken("namespaces", last.id) : "",
      };
    },

    async getNamespace({ namespace: nameOrId }, context) {
      const { view, active } = viewOf(context);
      const namespace = await nodes.findNamespace(view, nameOrId);
      if (namespace === undefined || !isKnown(namespace, clock())) throw notFound();
      return { namespace: toProtoNamespace(namespace, active) };
    },

    renameNamespace: ({ namespace, name }, context) => changed(namespace, context, rename(name)),
    suspendNamespace: ({ namespace }, context) => changed(namespace, context, suspend(clock())),
    resumeNamespace: ({ namespace }, context) => changed(namespace, context, resume),
    deleteNamespace: ({ namespace }, context) => changed(namespace, context, remove(clock())),
    restoreNamespace: ({ namespace }, context) => changed(namespace, context, restore),
  };
}

/** Namespaces and accounts that the caller sees, and the namespace that it is bound to, if any. */
function viewOf(context: HandlerContext): { view: NamespaceView; reach: Reach; active: Id<"ns"> | undefined } {
  const principal = principalOf(context);
  if (principal.kind === "service") throw new Error(`${context.method.name} was let in for a service`);
  const reach = reachOf(principal);
  if (principal.kind === "operator") return { view: reach, reach, active: undefined };
  const { namespaceId } = principal;
  return { view: { namespaceId }, reach, active: namespaceId };
}
