import { describe, expect, it } from "vitest";
import { INFERENCE_ROUTES } from "../src/handlers/inference.ts";
import { createModelDirectory, type Model } from "../src/domain/request/model-directory.ts";
import { createEchoUpstream } from "../src/upstreams/echo-upstream.ts";
import { pipelineUnderTest } from "./pipeline-under-test.ts";

const ECHO: Model = {
  provider: "echo",
  id: "echo",
  prices: [{ aboveInputTokens: 0, price: { inputPicoUsd: 1_000_000n, outputPicoUsd: 2_000_000n } }],
  priceVersion: "built-in:1",
  outputField: "max_tokens",
  wires: new Set(["chat"]),
};
const MESSAGES = [{ role: "user", content: "one two three" }];

/** Requests of each route that the built-in model serves. */
const BODIES: Readonly<Record<string, object>> = {
  "/v1/chat/completions": { messages: MESSAGES },
  "/v1/responses": { input: "one two three" },
  "/v1/messages": { max_tokens: 50, messages: MESSAGES, system: "Be brief." },
  "/v1/messages/count_tokens": { messages: MESSAGES },
};

const CASES = INFERENCE_ROUTES.filter(({ path }) => path !== "/v1/embeddings").flatMap(({ path, wire }) =>
  (wire.answer.stream === undefined ? [false] : [false, true]).map((streamed) => ({ path, wire, streamed })),
);

describe("the built-in model", () => {
  it.each(CASES)("answers $path, streamed: $streamed, within what is reserved", async ({ path, wire, streamed }) => {
    const echo = createEchoUpstream(Date.now);
    const { serve, usage, budget } = pipelineUnderTest({
      wire,
      overrides: { directory: createModelDirectory([ECHO]), upstreams: new Map([["echo", echo]]) },
    });
    const { reply, refusal } = await serve({ model: "echo", ...BODIES[path], ...(streamed && { stream: true }) });
    expect(refusal).toBeUndefined();
    const [settlement] = usage.settlements;
    expect(settlement).toMatchObject({ outcome: "succeeded", estimated: false });
    expect(settlement?.costNanoUsd).toBeLessThanOrEqual(settlement?.reservedNanoUsd ?? 0n);
    if (wire.answer.isFree === true) return;
    expect(reply.text).toMatch(/three/);
    expect(settlement).toMatchObject({ completionTokens: 3 });
    expect(budget.spentNano).toBe(settlement?.costNanoUsd);
  });
});
