import { createClient, type Transport } from "@connectrpc/connect";
import {
  AdmissionService,
  type AdmitResponse,
  type Denial as ProtoDenial,
  PrincipalType,
  type RateLimitState as ProtoState,
} from "@routeplane/contracts/policy";
import { definedFields, DomainError } from "@routeplane/domain";
import { fromConnectError, fromTimestamp } from "@routeplane/rpc";
import type { Denial } from "../domain/errors/denial.ts";
import type { Admissions, RateLimitState } from "../domain/ports/admissions.ts";

/** Creates the client of the policy service's reservations. @param policy transport to the policy service */
export function createAdmissions(policy: Transport): Admissions {
  const client = createClient(AdmissionService, policy);
  const fail = (error: unknown): never => {
    throw fromConnectError(error, "policy");
  };
  return {
    async admit(request) {
      const { namespaceId, requestId, lineage, price, inputTokensMax, outputTokensMax, choices, idempotencyKey } =
        request;
      const response = await client
        .admit({
          namespaceId,
          requestId,
          lineage: [...lineage],
          price: {
            inputPicoUsd: price.inputPicoUsd,
            outputPicoUsd: price.outputPicoUsd,
            requestPicoUsd: price.requestPicoUsd ?? 0n,
          },
          inputTokensMax: BigInt(inputTokensMax),
          outputTokensMax: BigInt(outputTokensMax),
          choices,
          refuseRatherThanLower: request.refuseRatherThanLower,
          ...(idempotencyKey !== undefined && { idempotencyKey }),
        })
        .catch(fail);
      const { shadowDenials } = response;
      const requests = fromProtoRateLimitState(response.requests);
      const tokens = fromProtoRateLimitState(response.tokens);
      const remaining = response.budgetRemainingMicroUsd;
      const budgetRemainingMicroUsd = remaining === undefined ? undefined : Number(remaining);
      const tightest = { requests, tokens, ...definedFields({ budgetRemainingMicroUsd }) };
      return { ...fromProtoOutcome(response.outcome), shadowDenials, ...tightest };
    },
    async settle({ namespaceId, keyId, requestId }, { costNanoUsd, tokens }) {
      await client.settle({ namespaceId, keyId, requestId, costNanoUsd, tokens: BigInt(tokens) }).catch(fail);
    },
    async release({ namespaceId, keyId, requestId }, neverSent) {
      await client.void({ namespaceId, keyId, requestId, neverSent }).catch(fail);
    },
  };
}

function fromProtoOutcome(outcome: AdmitResponse["outcome"]) {
  switch (outcome.case) {
    case "admission": {
      const { outputTokensMax, reservedNanoUsd } = outcome.value;
      const expiresAt = fromTimestamp(outcome.value.expiresAt);
      return { admitted: true as const, outputTokensMax: Number(outputTokensMax), reservedNanoUsd, expiresAt };
    }
    case "denial": {
      return { admitted: false as const, denial: fromProtoDenial(outcome.value) };
    }
    default:
      throw new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "the policy service gave no decision", {
        metadata: { dependency: "policy" },
      });
  }
}

function fromProtoDenial(denial: ProtoDenial): Denial {
  const { policyId, policyName, bindingId, principalId, rule, message, isFirm, limit, remaining, needed } = denial;
  const principalType = fromProtoPrincipalType(denial.principalType);
  const retryAt = fromTimestamp(denial.retryAt);
  const amounts = { limit, remaining, needed };
  return { policyId, policyName, bindingId, principalType, principalId, rule, retryAt, message, isFirm, amounts };
}

function fromProtoRateLimitState(state: ProtoState | undefined): RateLimitState | undefined {
  const resetsAt = fromTimestamp(state?.resetsAt);
  if (state === undefined || resetsAt === undefined) return undefined;
  return { limit: Number(state.limit), remaining: Number(state.remaining), resetsAt };
}

export function fromProtoPrincipalType(type: PrincipalType): Denial["principalType"] {
  return type === PrincipalType.API_KEY ? "api_key" : "namespace";
}
