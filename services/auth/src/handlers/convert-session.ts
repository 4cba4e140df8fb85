import type { MessageInitShape } from "@bufbuild/protobuf";
import type { SessionSchema } from "@routeplane/contracts/auth";
import { toTimestamp } from "@routeplane/rpc";
import type { NamedSession } from "../domain/sessions/session.ts";

export function toProtoSession(session: NamedSession): MessageInitShape<typeof SessionSchema> {
  const { id, namespaceId, namespaceName, keyId, operatorId, name, scopes, operatorScopes } = session;
  const { createdAt, expiresAt, revokedAt, address } = session;
  return {
    id,
    namespaceId: namespaceId ?? "",
    namespaceName: namespaceName ?? "",
    keyId: keyId ?? "",
    operatorId: operatorId ?? "",
    name,
    scopes: [...scopes],
    canExchange: operatorScopes !== undefined,
    createdAt: toTimestamp(createdAt),
    expiresAt: toTimestamp(expiresAt),
    ...(revokedAt && { revokedAt: toTimestamp(revokedAt) }),
    address,
  };
}
