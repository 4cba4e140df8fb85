import { createClient, type Transport } from "@connectrpc/connect";
import { AdmissionService, type AdmitResponse, PrincipalType } from "@routeplane/contracts/policy";
import { DomainError } from "@routeplane/domain";
import { fromConnectError, fromTimestamp } from "@routeplane/rpc";
import type { AdmissionDecision, Admissions, Denial } from "../domain/ports.ts";

/** The policy service's decisions. @param policy transport to the policy service */
export function createAdmissions(policy: Transport): Admissions {
  const client = createClient(AdmissionService, policy);
  const fail = (error: unknown): never => {
    throw fromConnectError(error, "policy");
  };
  return {
    async admit({ namespaceId, requestId, lineage, price, inputTokensMax, outputTokensMax, choices }) {
      const response = await client
        .admit({
          namespaceId,
          requestId,
          lineage: [...lineage],
          price: { inputPicoUsd: price.inputPicoUsd, outputPicoUsd: price.outputPicoUsd },
          inputTokensMax: BigInt(inputTokensMax),
          outputTokensMax: BigInt(outputTokensMax),
          choices,
        })
        .catch(fail);
      return fromProtoOutcome(response.outcome);
    },
    async settle({ namespaceId, requestId }, costNanoUsd) {
      await client.settle({ namespaceId, requestId, costNanoUsd }).catch(fail);
    },
    async release({ namespaceId, requestId }) {
      await client.void({ namespaceId, requestId }).catch(fail);
    },
  };
}

function fromProtoOutcome(outcome: AdmitResponse["outcome"]): AdmissionDecision {
  switch (outcome.case) {
    case "admission": {
      const { outputTokensMax, reservedNanoUsd } = outcome.value;
      const expiresAt = fromTimestamp(outcome.value.expiresAt);
      return { admitted: true, outputTokensMax: Number(outputTokensMax), reservedNanoUsd, expiresAt };
    }
    case "denial": {
      const { policyId, policyName, bindingId, principalId, message } = outcome.value;
      const principalType = fromProtoPrincipalType(outcome.value.principalType);
      return { admitted: false, denial: { policyId, policyName, bindingId, principalType, principalId, message } };
    }
    default:
      throw new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "the policy service gave no decision", {
        metadata: { dependency: "policy" },
      });
  }
}

export function fromProtoPrincipalType(type: PrincipalType): Denial["principalType"] {
  return type === PrincipalType.API_KEY ? "api_key" : "namespace";
}
