import { createClient, type Transport } from "@connectrpc/connect";
import { PolicyService, type PresetSpec } from "@routeplane/contracts/policy";
import { DomainError, type Id } from "@routeplane/domain";
import { fromConnectError } from "@routeplane/rpc";
import type { BindLimits } from "../domain/ports.ts";

/** Deadline of the call: it verifies the token and compiles patterns. Shorter than that of clients of the node. */
const TIMEOUT_MS = 5_000;

/**
 * Creates the binding of limits by the policy service, which is called with the token of whoever mints: the call can do no more than
 * that credential.
 *
 * @param policy transport to that service, without a credential
 */
export function createLimitBinder(policy: Transport): (token: string, limits: PresetSpec) => BindLimits {
  const client = createClient(PolicyService, policy);
  return (token, limits) =>
    async ({ namespaceId, id: keyId }) => {
      try {
        const options = { headers: { authorization: `Bearer ${token}` }, timeoutMs: TIMEOUT_MS };
        const { policyId } = await client.bindMintedLimits({ namespaceId, keyId, limits }, options);
        return policyId as Id<"pol">;
      } catch (error) {
        const fault = fromConnectError(error, "policy");
        // The mint is over, or another service denies it: nothing that whoever mints could mend.
        if (fault.code !== "not_found") throw fault;
        const message = "the policy service did not find the mint; try again";
        const metadata = { dependency: "policy" };
        throw new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, { metadata, cause: error });
      }
    };
}
