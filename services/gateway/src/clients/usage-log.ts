import { create } from "@bufbuild/protobuf";
import { Outcome, type UsageEvent, UsageEventSchema } from "@routeplane/contracts/events";
import type { EventPublisher } from "@routeplane/events";
import { toTimestamp } from "@routeplane/rpc";
import type { RequestFacts, Settlement, UsageLog } from "../domain/ports.ts";

const OUTCOMES: Record<Settlement["outcome"], Outcome> = {
  succeeded: Outcome.SUCCEEDED,
  failed: Outcome.FAILED,
  cancelled: Outcome.CANCELLED,
  denied: Outcome.DENIED,
};

/** Records usage as events in JetStream, from where the aggregator takes it. */
export function createUsageLog(publisher: EventPublisher): UsageLog {
  return {
    admitted: (facts, reservedNanoUsd) =>
      publisher.publish(toProtoEvent(facts, { case: "admitted", value: { reservedNanoUsd } })),
    settled: (facts, settlement) => publisher.publishUntilDurable(toProtoSettled(facts, settlement)),
  };
}

function toProtoSettled(facts: RequestFacts, settlement: Settlement): UsageEvent {
  return toProtoEvent(facts, {
    case: "settled",
    value: {
      outcome: OUTCOMES[settlement.outcome],
      completedAt: toTimestamp(settlement.completedAt),
      promptTokens: BigInt(settlement.promptTokens),
      completionTokens: BigInt(settlement.completionTokens),
      costNanoUsd: settlement.costNanoUsd,
      reservedNanoUsd: settlement.reservedNanoUsd,
      estimated: settlement.estimated,
      httpStatus: settlement.httpStatus,
      errorCode: settlement.errorCode,
      deniedByPolicyId: settlement.deniedByPolicyId,
      deniedByBindingId: settlement.deniedByBindingId,
      deniedRule: settlement.deniedRule,
      shadowDenials: [...settlement.shadowDenials],
    },
  });
}

type Phase = NonNullable<Parameters<typeof create<typeof UsageEventSchema>>[1]>["phase"];

function toProtoEvent(facts: RequestFacts, phase: Phase): UsageEvent {
  const { requestId, namespaceId, keyId, createdAt, endpoint, model, provider, streamed } = facts;
  const request = {
    requestId,
    namespaceId,
    keyId,
    createdAt: toTimestamp(createdAt),
    endpoint,
    model,
    provider,
    streamed,
  };
  return create(UsageEventSchema, { request, phase: phase ?? { case: undefined } });
}
