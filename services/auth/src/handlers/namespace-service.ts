import type { ServiceImpl } from "@connectrpc/connect";
import type { NamespaceService } from "@routeplane/contracts/auth";
import { type Clock, parseId } from "@routeplane/domain";
import { fromPageToken, operatorPrincipalOf, principalOf, toPageToken } from "@routeplane/rpc";
import { newNamespace } from "../domain/node.ts";
import type { NodeStore } from "../domain/ports.ts";
import { toProtoNamespace } from "./convert.ts";

const DEFAULT_PAGE_SIZE = 100;

export function namespaceService(nodes: NodeStore, clock: Clock): ServiceImpl<typeof NamespaceService> {
  return {
    async createNamespace({ name }, context) {
      const namespace = newNamespace(operatorPrincipalOf(context).accountId, name, clock);
      await nodes.addNamespace(namespace);
      return { namespace: toProtoNamespace(namespace, undefined) };
    },

    async listNamespaces({ pageSize, pageToken }, context) {
      const principal = principalOf(context);
      if (principal.kind === "service") throw new Error("ListNamespaces was let in for a service");
      const after = fromPageToken("namespaces", pageToken, (id) => parseId("ns", id));
      const page = { size: pageSize || DEFAULT_PAGE_SIZE, after };
      const { rows, more } = await nodes.listNamespaces(principal.accountId, page);
      const active = principal.kind === "key" ? principal.namespaceId : undefined;
      const last = rows.at(-1);
      return {
        namespaces: rows.map((namespace) => toProtoNamespace(namespace, active)),
        nextPageToken: more && last ? toPageToken("namespaces", last.id) : "",
      };
    },
  };
}
