import { describe, expect, it } from "vitest";
import { failingUpstream } from "../../../../test/fake-upstream.ts";
import { MICRO, pipelineUnderTest } from "../../../../test/pipeline-under-test.ts";
import { message, MESSAGE_BODY } from "../../../../test/sample-messages.ts";
import { serveOnce } from "../../../../test/serve-once.ts";
import { createModelDirectory, type Model } from "../../request/model-directory.ts";
import { UpstreamHealth } from "../../routing/upstream-health.ts";
import { CHAT } from "../chat/chat-wire.ts";
import { COUNT_TOKENS } from "./count-tokens-wire.ts";
import { MESSAGES } from "./messages-wire.ts";

const { max_tokens: _, ...BODY } = MESSAGE_BODY;
const COUNT = { input_tokens: 8 };

const served = (body: object, answer: object = COUNT, model: Partial<Model> = {}) => {
  const wires = new Set(["messages", "count_tokens"] as const);
  return serveOnce({ wire: COUNT_TOKENS, wires, model }, body, "application/json", [JSON.stringify(answer)]);
};

const RATES = { inputPicoUsd: 1_000_000n, outputPicoUsd: 2_000_000n };

describe("a count of tokens", () => {
  it("is free for a model that is billed by the request", async () => {
    const prices = [{ aboveInputTokens: 0, price: { ...RATES, requestPicoUsd: 10_000_000_000n } }] as const;
    const { reply, settlement, spentNano } = await served(BODY, COUNT, { prices });
    expect(reply.text).toBe(JSON.stringify(COUNT));
    expect([settlement?.costNanoUsd, settlement?.estimated, spentNano]).toEqual([0n, false, 0n]);
  });

  it.each([
    ["before", [COUNT_TOKENS, MESSAGES]],
    ["after", [MESSAGES, COUNT_TOKENS]],
  ])("is free %s a message of the same model, which is not", async (_name, routes) => {
    const wires = new Set(["messages", "count_tokens"] as const);
    const prices = [{ aboveInputTokens: 0, price: { ...RATES, requestPicoUsd: 10_000_000_000n } }] as const;
    const directory = createModelDirectory([
      { provider: "echo", id: "echo", prices, priceVersion: "file:1", outputField: "max_tokens", wires },
    ]);
    for (const wire of routes) {
      const isFree = wire === COUNT_TOKENS;
      const answer = isFree ? COUNT : message([{ type: "text", text: "hi" }]);
      const body = isFree ? BODY : MESSAGE_BODY;
      const options = { wire, overrides: { directory } };
      const { settlement } = await serveOnce(options, body, "application/json", [JSON.stringify(answer)]);
      expect(settlement?.costNanoUsd).toBe(isFree ? 0n : 10_000_000n + 13n * MICRO);
    }
  });

  it("is free for a request with tools that are billed by the request", async () => {
    const surcharge = {
      member: "tools",
      value: undefined,
      priceFactorPpm: 1_000_000n,
      requestPicoUsd: 10_000_000_000n,
    };
    const memberRules = { allowed: new Set<string>(), surcharges: [surcharge] };
    const tools = [{ type: "web_search_20250305", name: "web_search" }];
    const { refusal, settlement } = await served({ ...BODY, tools }, COUNT, { memberRules });
    expect([refusal, settlement?.costNanoUsd]).toEqual([undefined, 0n]);
  });

  it.each([
    ["stream", true],
    ["stream", false],
    ["max_tokens", 50],
    ["max_tokens", null],
  ])("is refused with the member %s of a request that is answered: %j", async (name, value) => {
    const { refusal, sent } = await served({ ...BODY, [name]: value });
    expect(refusal).toMatchObject({ status: 400, param: name });
    expect(sent).toEqual([]);
  });

  it.each([
    ["a message", message([{ type: "text", text: "hi" }])],
    ["a message with a count", message([{ type: "text", text: "hi" }], COUNT)],
  ])("is no answer that is %s, which is charged by its usage", async (_name, answer) => {
    const { refusal, settlement } = await served(BODY, answer);
    expect(refusal).toMatchObject({ status: 502, code: "upstream_invalid_response" });
    expect(settlement).toMatchObject({ promptTokens: 3, completionTokens: 5, costNanoUsd: 13n * MICRO });
  });

  it("that the gateway makes itself is no evidence about the health of an upstream", async () => {
    const health = new UpstreamHealth();
    const upstream = failingUpstream("unreachable");
    const wires = new Set(["chat"] as const);
    const ask = (wire: typeof CHAT) => pipelineUnderTest({ upstream, wire, wires, overrides: { health } }).serve(BODY);
    const isOpen = (): boolean => health.of({ provider: "echo", id: "echo" }).isOpen;
    for (let request = 0; request < 20; request++) await ask(CHAT);
    expect(isOpen()).toBe(true);
    expect((await ask(COUNT_TOKENS)).refusal).toBeUndefined();
    expect(isOpen()).toBe(true);
  });
});
