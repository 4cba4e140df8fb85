import { createClient, type Transport } from "@connectrpc/connect";
import { PolicyService, type PresetSpec } from "@routeplane/contracts/policy";
import { DomainError, type Id } from "@routeplane/domain";
import { fromConnectError } from "@routeplane/rpc";
import type { BindLimits } from "../domain/ports.ts";

/** Deadline of the call, which verifies the token and compiles patterns. Shorter than the deadlines of clients of the node. */
const TIMEOUT_MS = 5_000;

/**
 * Creates the function that binds limits by a call to the policy service. The call has the token of the minter, and can do no more than
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
        // The mint has ended, or another service denies it: the minter can do nothing about either.
        if (fault.code !== "not_found") throw fault;
        const message = "the policy service did not find the mint; try again";
        const metadata = { dependency: "policy" };
        throw new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, { metadata, cause: error });
      }
    };
}
