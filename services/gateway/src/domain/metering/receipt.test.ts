import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { answeringUpstream } from "../../../test/fake-upstream.ts";
import { BODY, MICRO, pipelineUnderTest } from "../../../test/pipeline-under-test.ts";
import { fakeReply } from "../../../test/fake-reply.ts";

describe("the receipt of a stream", () => {
  const stream = { ...BODY, stream: true };
  const piece = (content: string): string =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;
  const role = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { role: "assistant", content: "" } }] })}\n\n`;
  const usageChunk = (details: object): string =>
    `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, ...details } })}\n\n`;
  const done = "data: [DONE]\n\n";

  /** Waits before its first output, and again before its end. */
  async function* slowly(...chunks: readonly string[]): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) {
      if (chunk === piece("one") || chunk === done) await delay(60);
      yield Buffer.from(chunk);
    }
  }

  it("has the time to the first output, not the first byte, and the time of the upstream", async () => {
    const body = slowly(role, piece("one"), usageChunk({}), done);
    const { serve, usage } = pipelineUnderTest({ upstream: answeringUpstream("text/event-stream", [], { body }) });
    await serve(stream);
    const [settlement] = usage.settlements;
    const { firstTokenMs = 0, upstreamMs = 0, completedAt, facts } = settlement ?? expect.fail("it was not settled");
    expect(firstTokenMs).toBeGreaterThan(50);
    expect(firstTokenMs).toBeLessThan(completedAt.getTime() - facts.createdAt.getTime() - 50);
    expect(upstreamMs).toBeGreaterThan(110);
  });

  it("has no time to the first token without output, and no time of the upstream without a call", async () => {
    const { serve, usage } = pipelineUnderTest({
      upstream: answeringUpstream("text/event-stream", [role, usageChunk({}), done]),
    });
    await serve(stream);
    const gone = fakeReply();
    gone.cancel("client_gone");
    await serve(stream, gone);
    expect(usage.settlements).toMatchObject([
      { firstTokenMs: undefined, upstreamMs: expect.any(Number) as unknown },
      { firstTokenMs: undefined, upstreamMs: undefined, admittedAt: expect.any(Date) as unknown },
    ]);
  });

  it.each<[string, object, number | undefined, number | undefined]>([
    ["what of its tokens was cached and reasoning", { cached_tokens: 1, reasoning_tokens: 2 }, 1, 2],
    ["none where the upstream says none", { cached_tokens: 0, reasoning_tokens: 0 }, 0, 0],
    ["nothing where the upstream does not say", {}, undefined, undefined],
    ["nothing of what is no part of them", { cached_tokens: 4, reasoning_tokens: -1 }, undefined, undefined],
  ])("has %s, and the charge does not depend on it", async (_, details, cachedPromptTokens, reasoningTokens) => {
    const chunk = usageChunk({ prompt_tokens_details: details, completion_tokens_details: details });
    const { serve, usage } = pipelineUnderTest({
      upstream: answeringUpstream("text/event-stream", [piece("one"), chunk, done]),
    });
    await serve(stream);
    const counted = { promptTokens: 3, completionTokens: 2, costNanoUsd: 7n * MICRO };
    expect(usage.settlements).toMatchObject([{ cachedPromptTokens, reasoningTokens, ...counted }]);
  });

  it("has every part of the last of several cumulative counts, and adds none of them up", async () => {
    const counts = [1, 2, 3].map((each) => {
      const details = { cached_tokens: each - 1, reasoning_tokens: each - 1 };
      const parts = { prompt_tokens_details: details, completion_tokens_details: details };
      return Object.assign({ prompt_tokens: 3, completion_tokens: each }, parts);
    });
    const body = counts.map((usage) => piece("one") + usageChunk(usage)).join("");
    const { serve, usage } = pipelineUnderTest({ upstream: answeringUpstream("text/event-stream", [body, done]) });
    await serve(stream);
    const parts = { promptTokens: 3, completionTokens: 3, cachedPromptTokens: 2, reasoningTokens: 2 };
    expect(usage.settlements).toMatchObject([{ ...parts, costNanoUsd: 9n * MICRO, estimated: false }]);
  });
});

describe("the receipt of a whole answer", () => {
  it("has the cached and reasoning parts of the tokens, which are counted once and charged like the others", async () => {
    const details = { prompt_tokens_details: { cached_tokens: 2 }, completion_tokens_details: { reasoning_tokens: 1 } };
    const counts = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5, ...details };
    const answer = JSON.stringify({ choices: [], usage: counts });
    const { serve, usage } = pipelineUnderTest({ upstream: answeringUpstream("application/json", [answer]) });
    await serve(BODY);
    const parts = { promptTokens: 3, completionTokens: 2, cachedPromptTokens: 2, reasoningTokens: 1 };
    expect(usage.settlements).toMatchObject([{ ...parts, costNanoUsd: 7n * MICRO }]);
  });
});
