import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceCredentialSchema } from "@routeplane/contracts/auth";
import { toTimestamp } from "@routeplane/rpc";
import type { ServiceCredential } from "../domain/service-credentials/service-credential.ts";

export function toProtoServiceCredential(service: ServiceCredential): MessageInitShape<typeof ServiceCredentialSchema> {
  const { id, name, prefix, scopes, namespaceIds, accountId, createdAt, expiresAt, revokedAt, revokedReason } = service;
  return {
    id,
    name,
    prefix,
    scopes: [...scopes],
    namespaceIds: [...(namespaceIds ?? [])],
    allNamespaces: namespaceIds === undefined,
    accountId: accountId ?? "",
    createdAt: toTimestamp(createdAt),
    ...(expiresAt && { expiresAt: toTimestamp(expiresAt) }),
    ...(revokedAt && { revokedAt: toTimestamp(revokedAt) }),
    revokedReason: revokedReason ?? "",
  };
}
