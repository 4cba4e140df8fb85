import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { NamespaceSchema, type NamespaceService } from "@routeplane/contracts/auth";
import { type Clock, type Id, notFound } from "@routeplane/domain";
import { credentialPrincipalOf, operatorPrincipalOf, toProtoPage } from "@routeplane/rpc";
import { type NamespaceView, type Reach, reachOf } from "../domain/namespaces/account.ts";
import { requireAccount } from "../domain/namespaces/require-account.ts";
import {
  isKnown,
  type NamespaceChange,
  newNamespace,
  remove,
  rename,
  restore,
  restoreWindowStart,
  resume,
  suspend,
} from "../domain/namespaces/namespace.ts";
import type { AccountStore, NamespaceStore } from "../domain/ports.ts";
import { toProtoNamespace } from "./convert-namespace.ts";
import { fromProtoPage } from "./convert-page.ts";

const LIST = "namespaces";

export function namespaceService(
  accounts: AccountStore,
  namespaces: NamespaceStore,
  clock: Clock,
): ServiceImpl<typeof NamespaceService> {
  /** Changes a namespace in the calling operator's reach. @throws DomainError NOT_FOUND; otherwise as `NamespaceStore.change` */
  async function changeNamespace(nameOrId: string, context: HandlerContext, change: NamespaceChange) {
    const reach = reachOf(operatorPrincipalOf(context));
    const namespace = await namespaces.change(reach, nameOrId, (before) => {
      if (!isKnown(before, clock())) throw notFound();
      return change(before);
    });
    if (namespace === undefined) throw notFound();
    return { namespace: toProtoNamespace(namespace, undefined) };
  }

  /** The caller's view, narrowed to one account. @throws DomainError as `requireAccount` */
  async function viewOfAccount(context: HandlerContext, account: string): Promise<NamespaceView> {
    const { view, reach } = viewOf(context);
    const { id } = await requireAccount(accounts, reach, account);
    return "namespaceId" in view ? view : { accountId: id };
  }

  return {
    async createNamespace({ name, account }, context) {
      const owner = await requireAccount(accounts, reachOf(operatorPrincipalOf(context)), account || undefined);
      const namespace = newNamespace(owner.id, name, clock);
      await namespaces.add(namespace);
      return { namespace: toProtoNamespace(namespace, undefined) };
    },

    async listNamespaces(request, context) {
      const { showDeleted, account } = request;
      const { view: wholeView, ownNamespaceId } = viewOf(context);
      const view = account === "" ? wholeView : await viewOfAccount(context, account);
      const deletedSince = showDeleted ? restoreWindowStart(clock()) : undefined;
      const page = await namespaces.list(view, fromProtoPage(LIST, "ns", request), deletedSince);
      const { messages, nextPageToken } = toProtoPage(page, {
        list: LIST,
        schema: NamespaceSchema,
        toProto: (namespace) => toProtoNamespace(namespace, ownNamespaceId),
        positionOf: ({ id }) => id,
      });
      return { namespaces: messages, nextPageToken };
    },

    async getNamespace({ namespace: nameOrId }, context) {
      const { view, ownNamespaceId } = viewOf(context);
      const namespace = await namespaces.find(view, nameOrId);
      if (namespace === undefined || !isKnown(namespace, clock())) throw notFound();
      return { namespace: toProtoNamespace(namespace, ownNamespaceId) };
    },

    renameNamespace: ({ namespace, name }, context) => changeNamespace(namespace, context, rename(name)),
    suspendNamespace: ({ namespace }, context) => changeNamespace(namespace, context, suspend(clock())),
    resumeNamespace: ({ namespace }, context) => changeNamespace(namespace, context, resume),
    deleteNamespace: ({ namespace }, context) => changeNamespace(namespace, context, remove(clock())),
    restoreNamespace: ({ namespace }, context) => changeNamespace(namespace, context, restore),
  };
}

/** Namespaces and accounts that the caller can see, and the namespace of a calling key. */
function viewOf(context: HandlerContext): { view: NamespaceView; reach: Reach; ownNamespaceId: Id<"ns"> | undefined } {
  const principal = credentialPrincipalOf(context);
  const reach = reachOf(principal);
  if (principal.kind === "operator") return { view: reach, reach, ownNamespaceId: undefined };
  const { namespaceId } = principal;
  return { view: { namespaceId }, reach, ownNamespaceId: namespaceId };
}
