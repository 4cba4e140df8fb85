import { createClient, type Transport } from "@connectrpc/connect";
import { VerificationService } from "@routeplane/contracts/auth";
import type { Id } from "@routeplane/domain";
import { fromConnectError } from "@routeplane/rpc";
import type { MintDirectory } from "../domain/ports.ts";
import { fromProtoOrigin } from "./revocation-log.ts";

/** Creates a client of the mints that are in progress in the auth service. @param auth transport to that service */
export function createMintDirectory(auth: Transport): MintDirectory {
  const client = createClient(VerificationService, auth);
  return {
    async find(namespaceId, keyId) {
      try {
        const mint = await client.resolveMint({ namespaceId, keyId });
        return { lineage: mint.lineage as Id<"key">[], origin: fromProtoOrigin(mint) };
      } catch (error) {
        const fault = fromConnectError(error, "auth");
        if (fault.code === "not_found") return undefined;
        throw fault;
      }
    },
  };
}
