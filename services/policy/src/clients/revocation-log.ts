import { createClient, type Transport } from "@connectrpc/connect";
import { type RevokedKey, VerificationService } from "@routeplane/contracts/auth";
import type { Id } from "@routeplane/domain";
import { fromConnectError, fromTimestamp } from "@routeplane/rpc";
import type { Origin } from "@routeplane/runtime";
import type { Revocation, RevocationLog } from "../domain/ports.ts";

/** Creates a client of the auth service's revocations. @param auth transport to that service */
export function createRevocationLog(auth: Transport): RevocationLog {
  const client = createClient(VerificationService, auth);
  const rethrow = (error: unknown): never => {
    throw fromConnectError(error, "auth");
  };
  return {
    async list(after) {
      const { namespaceId: afterNamespaceId = "", keyId: afterKeyId = "" } = after ?? {};
      const { keys } = await client.listRevokedKeys({ afterNamespaceId, afterKeyId }).catch(rethrow);
      return keys.map(fromProtoRevokedKey);
    },
    async acknowledge(keyIds) {
      await client.acknowledgeRevokedKeys({ keyIds: [...keyIds] }).catch(rethrow);
    },
  };
}

/** Origin of a call as the auth service reports it. */
export function fromProtoOrigin({
  actorType: type,
  actorId,
  accountId,
  requestId,
  address,
}: Pick<RevokedKey, keyof Origin>): Origin {
  const actorType = ACTOR_TYPES.find((known) => known === type) ?? "service";
  return { actorType, actorId, accountId, requestId, address };
}

const ACTOR_TYPES: readonly Origin["actorType"][] = ["api_key", "operator", "session", "service"];

function fromProtoRevokedKey(revoked: RevokedKey): Revocation {
  const { namespaceId, keyId, revokedAt } = revoked;
  return {
    namespaceId: namespaceId as Id<"ns">,
    keyId: keyId as Id<"key">,
    revokedAt: fromTimestamp(revokedAt) ?? new Date(0),
    origin: fromProtoOrigin(revoked),
  };
}
