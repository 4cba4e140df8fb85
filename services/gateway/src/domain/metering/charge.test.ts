import { MAX_REQUEST_COST_NANO_USD, MAX_REQUEST_TOKENS, MAX_TOKEN_PRICE_PICO_USD } from "@routeplane/domain";
import fc from "fast-check";
import { expect, it } from "vitest";
import { chargeFor } from "./charge.ts";

const picoUsd = fc.bigInt(0n, MAX_TOKEN_PRICE_PICO_USD);
const tokens = fc.oneof(fc.nat(3 * MAX_REQUEST_TOKENS), fc.constant(MAX_REQUEST_TOKENS));

it("a charge is never more than can be recorded, and only an estimate is lowered to that", () => {
  const shape = fc.record({
    price: fc.record({ inputPicoUsd: picoUsd, outputPicoUsd: picoUsd, requestPicoUsd: fc.bigInt(0n, 10n ** 15n) }),
    usage: fc.record({ promptTokens: tokens, completionTokens: tokens }),
    isReported: fc.boolean(),
  });
  fc.assert(
    fc.property(shape, ({ price, usage, isReported }) => {
      const prices = [{ aboveInputTokens: 0, price }] as const;
      const model = { provider: "p", id: "m", prices, priceVersion: "file:1", outputField: "max_tokens" as const };
      const granted = { inputTokensMax: usage.promptTokens, outputTokensMax: usage.completionTokens };
      const request = { granted, choices: 1, streamed: false, unseenWorkMs: 0 };
      const unknown = { usage: undefined, reported: undefined, delivered: undefined };
      const result = { ...unknown, ...(isReported && { usage }), billable: true };
      const charge = chargeFor(result, model, request);
      expect(charge.promptTokens).toBe(Math.min(usage.promptTokens, MAX_REQUEST_TOKENS));
      expect(charge.completionTokens).toBe(Math.min(usage.completionTokens, MAX_REQUEST_TOKENS));
      expect(charge.costNanoUsd).toBeLessThanOrEqual(MAX_REQUEST_COST_NANO_USD);
      const isCut = Math.max(usage.promptTokens, usage.completionTokens) > MAX_REQUEST_TOKENS;
      expect(charge.estimated).toBe(isCut || !isReported);
    }),
  );
});
