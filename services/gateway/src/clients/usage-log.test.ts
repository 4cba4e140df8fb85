import { toBinary } from "@bufbuild/protobuf";
import { UsageEventSchema } from "@routeplane/contracts/events";
import { newId } from "@routeplane/domain";
import { MAX_EVENT_BYTES } from "@routeplane/events";
import { MAX_PATTERN_NAME_CHARS } from "@routeplane/guardrails";
import { expect, it } from "vitest";
import { sampleFacts, sampleSettlement } from "../../test/sample-usage.ts";
import { toProtoSettled } from "./usage-log.ts";

it("a settlement fits the spool, however many policies apply and however much an upstream says", () => {
  const source = () => ({ policyId: newId("pol"), bindingId: newId("bnd") });
  const many = Array.from({ length: 1_000 }, source);
  const pattern = "€".repeat(MAX_PATTERN_NAME_CHARS);
  const did = { requestRedactions: 2 ** 31 - 1, responseRedactions: 2 ** 31 - 1, blocked: "response" as const };
  const settlement = sampleSettlement({
    outcome: "denied",
    errorCode: "€".repeat(2_000),
    serviceTier: "€".repeat(2_000),
    upstreamRequestId: "€".repeat(2_000),
    upstreamError: "€\n\u001b".repeat(2_000),
    deniedByPolicyId: newId("pol"),
    deniedByBindingId: newId("bnd"),
    deniedRule: "guardrail.max_request_tokens",
    shadowDenials: many.map((each) => Object.assign(each, { rule: "guardrail.max_request_tokens" })),
    guardrailDecisions: many.map(() => Object.assign(source(), { rule: "guardrail.content_patterns", pattern }, did)),
  });
  const facts = sampleFacts({ model: "m".repeat(256), provider: "p".repeat(256), streamed: true });
  const event = toProtoSettled(facts, settlement);
  expect(toBinary(UsageEventSchema, event).length).toBeLessThan(MAX_EVENT_BYTES);
  expect(event.phase.value).toMatchObject({
    shadowDenials: { length: 100 },
    guardrailDecisions: { length: 50 },
    errorCode: "€".repeat(256),
    serviceTier: "€".repeat(64),
    upstreamRequestId: "€".repeat(200),
    upstreamError: "€ ".repeat(250),
  });
});
