import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AccountSchema, NamespaceSchema } from "@routeplane/contracts/auth";
import { toTimestamp } from "@routeplane/rpc";
import type { Account } from "../domain/namespaces/account.ts";
import { type Namespace, restorableUntil } from "../domain/namespaces/namespace.ts";

export function toProtoAccount({ id, name, createdAt }: Account): MessageInitShape<typeof AccountSchema> {
  return { id, name, createdAt: toTimestamp(createdAt) };
}

/** @param ownNamespaceId namespace of the calling key; undefined for an operator */
export function toProtoNamespace(
  namespace: Namespace,
  ownNamespaceId: Namespace["id"] | undefined,
): MessageInitShape<typeof NamespaceSchema> {
  const { id, accountId, name, createdAt, suspendedAt, deletedAt } = namespace;
  const until = restorableUntil(namespace);
  return {
    id,
    name,
    createdAt: toTimestamp(createdAt),
    active: id === ownNamespaceId,
    accountId,
    ...(suspendedAt && { suspendedAt: toTimestamp(suspendedAt) }),
    ...(deletedAt && { deletedAt: toTimestamp(deletedAt) }),
    ...(until && { restorableUntil: toTimestamp(until) }),
  };
}
