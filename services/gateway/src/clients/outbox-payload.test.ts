import { newId } from "@routeplane/domain";
import fc from "fast-check";
import { expect, it } from "vitest";
import { fromOutboxPayload, toSettlementPayload } from "./outbox-payload.ts";

const amount = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
const tokens = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const key = { namespaceId: newId("ns"), keyId: newId("key"), requestId: newId("req") };
const slices = fc.record({
  sessionId: fc.constant(newId("gws")),
  limitSet: fc.nat(),
  countedAt: fc.option(fc.date({ noInvalidDate: true }), { nil: undefined }),
  boundNanoUsd: amount,
  tokensMax: tokens,
});
const end = fc.record({ costNanoUsd: amount, tokens, neverSent: fc.boolean() });
const optional = fc.record({ slices, isUnknown: fc.constant(true) }, { requiredKeys: [] });

it("reads every settlement as it was written", () => {
  fc.assert(
    fc.property(end, optional, (amounts, more) => {
      const settlement = { ...key, ...amounts, ...more };
      expect(fromOutboxPayload(toSettlementPayload(settlement))).toEqual({ settlement });
    }),
  );
});

it("writes the JSON that processes of earlier releases read", () => {
  const bounds = { boundNanoUsd: 9_000n, tokensMax: 12 };
  const onSlices = { sessionId: newId("gws"), limitSet: 3, countedAt: new Date(5), ...bounds };
  const settlement = { ...key, costNanoUsd: 2_000n, tokens: 7, neverSent: false, slices: onSlices, isUnknown: true };
  expect(Buffer.from(toSettlementPayload(settlement)).toString()).toBe(
    JSON.stringify({
      namespace_id: key.namespaceId,
      key_id: key.keyId,
      request_id: key.requestId,
      cost_nano_usd: "2000",
      tokens: 7,
      never_sent: false,
      session_id: onSlices.sessionId,
      limit_set: 3,
      counted_at: 5,
      bound_nano_usd: "9000",
      tokens_max: 12,
      unknown: true,
    }),
  );
});
