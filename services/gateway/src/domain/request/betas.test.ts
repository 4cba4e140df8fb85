import { describe, expect, it } from "vitest";
import { answeringUpstream } from "../../../test/fake-upstream.ts";
import { pipelineUnderTest } from "../../../test/pipeline-under-test.ts";
import { message, MESSAGE_BODY } from "../../../test/sample-messages.ts";
import { MESSAGES } from "../wires/messages/messages-wire.ts";
import type { Model, PriceStep } from "./model-directory.ts";

const step = (aboveInputTokens: number): PriceStep => ({
  aboveInputTokens,
  price: { inputPicoUsd: 1_000_000n, outputPicoUsd: 2_000_000n },
});

async function served(betas: string, model: Partial<Model> = {}, wires = new Set(["messages"] as const)) {
  const upstream = answeringUpstream("application/json", [JSON.stringify(message([{ type: "text", text: "hi" }]))]);
  const forwardedHeaders = { "anthropic-version": "2023-06-01", "anthropic-beta": betas };
  const { serve, sent } = pipelineUnderTest({ upstream, wire: MESSAGES, wires, model, forwardedHeaders });
  const { refusal } = await serve(MESSAGE_BODY);
  return { refusal, sent };
}

const LONG_CONTEXT = "context-1m-2025-08-07";

describe("betas of a request", () => {
  it.each([
    "prompt-caching-2024-07-31",
    "claude-code-20250219,interleaved-thinking-2025-05-14,fine-grained-tool-streaming-2025-05-14",
    "claude-code-20250219, oauth-2025-04-20, context-management-2025-06-27, prompt-caching-scope-2026-01-05, effort-2025-11-24",
    "structured-outputs-2025-11-13,structured-outputs-2025-12-15",
    "Token-Counting-2024-11-01,",
    "",
  ])("pass if none of them changes what the request costs: %j", async (betas) => {
    const { refusal, sent } = await served(betas);
    expect(refusal).toBeUndefined();
    expect(sent).toHaveLength(1);
  });

  it.each([
    ["new-billing-2027-01-01", "new-billing-2027-01-01"],
    ["prompt-caching-2024-07-31,unheard-of", "unheard-of"],
    ["prompt-caching-2024-07-31 context-1m-2025-08-07", "prompt-caching-2024-07-31 context-1m-2025-08-07"],
    [`pdfs-2024-09-25,${LONG_CONTEXT}`, LONG_CONTEXT],
    ["CONTEXT-1M-2025-08-07", "CONTEXT-1M-2025-08-07"],
    ["server-side-fallback-2026-07-01", "server-side-fallback-2026-07-01"],
  ])("are refused by name if the effect of one is not known: %j", async (betas, refused) => {
    const { refusal, sent } = await served(betas);
    expect(refusal).toMatchObject({ status: 400, code: "member_not_allowed", param: "anthropic-beta" });
    expect(refusal?.message).toContain(`"${refused}"`);
    expect(sent).toEqual([]);
  });

  it("may ask for a long context where that has a price", async () => {
    expect((await served(LONG_CONTEXT, { prices: [step(0), step(200_000)] })).refusal).toBeUndefined();
    expect((await served(LONG_CONTEXT, { prices: [step(0), step(100_000)] })).refusal?.param).toBe("anthropic-beta");
  });

  it.each(["anthropic_beta", "betas"])("pass if the operator allows %s", async (name) => {
    const memberRules = { allowed: new Set([name]), surcharges: [] };
    expect((await served("unheard-of", { memberRules })).refusal).toBeUndefined();
  });

  it("do not matter where the upstream does not get them", async () => {
    const chat = JSON.stringify({
      id: "c",
      model: "echo",
      choices: [{ message: { content: "hi" }, finish_reason: "stop" }],
    });
    const upstream = answeringUpstream("application/json", [chat]);
    const wires = new Set(["chat"] as const);
    const forwardedHeaders = { "anthropic-beta": "unheard-of" };
    const { serve } = pipelineUnderTest({ upstream, wire: MESSAGES, wires, forwardedHeaders });
    expect((await serve(MESSAGE_BODY)).refusal).toBeUndefined();
  });
});
