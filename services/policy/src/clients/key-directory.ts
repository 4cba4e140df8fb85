import type { Id } from "@routeplane/domain";
import { createClient, type Transport } from "@connectrpc/connect";
import { VerificationService } from "@routeplane/contracts/auth";
import { fromConnectError, fromTimestamp } from "@routeplane/rpc";
import type { KeyDirectory } from "../domain/ports.ts";

/** Creates a client of the keys of the auth service. @param auth transport to that service */
export function createKeyDirectory(auth: Transport): KeyDirectory {
  const client = createClient(VerificationService, auth);
  return {
    async find(namespaceId, keyId) {
      try {
        const { revoked, lineage, expiresAt } = await client.resolveKey({ namespaceId, keyId });
        return { revoked, lineage: lineage as Id<"key">[], expiresAt: fromTimestamp(expiresAt) };
      } catch (error) {
        const fault = fromConnectError(error, "auth");
        if (fault.code === "not_found") return undefined;
        throw fault;
      }
    },
  };
}
