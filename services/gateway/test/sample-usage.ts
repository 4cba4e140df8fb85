import { newId } from "@routeplane/domain";
import type { RequestFacts } from "../src/domain/metering/request-facts.ts";
import type { Settlement } from "../src/domain/ports/usage-log.ts";
import { NO_RECEIPT } from "../src/domain/metering/receipt.ts";

export function sampleFacts(given: Partial<RequestFacts> = {}): RequestFacts {
  return {
    requestId: newId("req"),
    namespaceId: newId("ns"),
    keyId: newId("key"),
    createdAt: new Date(),
    endpoint: "/v1/chat/completions",
    model: "echo",
    provider: "echo",
    streamed: false,
    ...given,
  };
}

export function sampleSettlement(given: Partial<Settlement> = {}): Settlement {
  return {
    outcome: "succeeded",
    completedAt: new Date(),
    promptTokens: 1,
    completionTokens: 1,
    costNanoUsd: 3_000n,
    reservedNanoUsd: 9_000n,
    estimated: false,
    httpStatus: 200,
    errorCode: "",
    deniedByPolicyId: "",
    deniedByBindingId: "",
    deniedRule: "",
    shadowDenials: [],
    guardrailDecisions: [],
    ...NO_RECEIPT,
    ...given,
  };
}
