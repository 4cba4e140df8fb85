import { describe, expect, it, vi } from "vitest";
import { fakeGuardrailDirectory } from "../../../test/fake-guardrail-directory.ts";
import { answeringUpstream } from "../../../test/fake-upstream.ts";
import { BODY, pipelineUnderTest } from "../../../test/pipeline-under-test.ts";
import {
  BOM,
  chunk,
  CHUNKS,
  COMPLETION,
  COST,
  dataOf,
  DONE,
  event,
  relayed,
  STREAM,
  USAGE,
} from "../../../test/relayed-answer.ts";

describe("an error with a status of success", () => {
  const error = { error: { message: "the model is gone", type: "t", param: "model", code: 404 } };

  it.each<[string, object]>([
    ["whole", BODY],
    ["where a stream was asked for", STREAM],
  ])("keeps the wait that its head asks for: %s", async (_, body) => {
    const text = JSON.stringify({ error: { message: "slow down", code: 429 } });
    const { refusal } = await relayed({ body, type: "application/json", parts: [text], retryAfter: "7" });
    expect(refusal).toMatchObject({ status: 429, retryAfter: "7", retryable: true });
  });

  it.each<[string, object, string, string]>([
    ["an object", BODY, "application/json", JSON.stringify(error)],
    ["a list", BODY, "application/json", JSON.stringify([error])],
    ["beside choices that are null", BODY, "application/json", JSON.stringify({ ...error, choices: null })],
    ["beside no choices", BODY, "application/json", JSON.stringify({ ...error, choices: [] })],
    [
      "in a choice",
      BODY,
      "application/json",
      JSON.stringify({ choices: [{ index: 0, ...error, message: { content: "" } }] }),
    ],
    ["with a byte order mark", BODY, "text/plain", BOM + JSON.stringify(error)],
    ["the first event of a stream", STREAM, "text/event-stream", event(error)],
    ["the first event, named so", STREAM, "text/event-stream", `event: error\n${event(error.error)}`],
    [
      "the first event behind comments",
      STREAM,
      "text/event-stream",
      `: thinking\n\n: thinking\n\n${event(error)}${DONE}`,
    ],
    ["the first event, a list", STREAM, "text/event-stream", event([error] as object)],
    ["JSON where a stream was asked for", STREAM, "application/json", JSON.stringify(error)],
    ["JSON that is labelled as a stream", STREAM, "text/event-stream", JSON.stringify(error)],
    ["a stream where none was asked for", BODY, "text/event-stream", event(error)],
  ])("is an error in its own words and status, free, and not tried again: %s", async (_, body, type, text) => {
    const { reply, refusal, settlement, spentNano } = await relayed({ body, type, parts: [text] });
    expect(refusal).toMatchObject({
      status: 404,
      message: "the model is gone",
      code: "404",
      param: "model",
      retryable: false,
    });
    expect(reply.begun).toBe(false);
    expect(spentNano).toBe(0n);
    expect(settlement).toMatchObject({
      outcome: "failed",
      httpStatus: 404,
      errorCode: "404",
      upstreamError: "the model is gone (404)",
    });
    expect(settlement).toMatchObject({ upstreamStatus: 200, estimated: false });
  });

  it("is charged the usage that it reports", async () => {
    for (const sent of [
      { parts: [JSON.stringify({ ...error, usage: USAGE })] },
      { body: STREAM, type: "text/event-stream", parts: [event({ ...error, usage: USAGE })] },
    ]) {
      const { settlement, spentNano } = await relayed(sent);
      expect(spentNano).toBe(COST);
      expect(settlement).toMatchObject({ outcome: "failed", estimated: false, promptTokens: 3 });
    }
  });

  it.each([
    [
      "a problem document",
      "application/problem+json",
      { title: "Too large", status: 413, detail: "by far" },
      413,
      "Too large: by far",
    ],
    ["a message with a code", "application/json", { message: "no", code: "context_length_exceeded" }, 400, "no"],
    ["a FastAPI detail", "application/json", { detail: [{ loc: ["body", "n"], msg: "large" }] }, 502, "n: large"],
    ["an error of vLLM", "application/json", { object: "error", message: "no", type: "BadRequestError" }, 400, "no"],
    [
      "an error without words",
      "application/json",
      { success: false },
      502,
      "the upstream answered with an error that it does not explain",
    ],
  ])("may be %s", async (_, type, json, status, message) => {
    for (const body of [BODY, STREAM]) {
      const { refusal } = await relayed({ body, type, parts: [JSON.stringify(json)] });
      expect(refusal).toMatchObject({ status, message, retryable: false });
    }
  });

  it("is not seen in an answer that has choices, nor in text about errors", async () => {
    const about = {
      ...COMPLETION,
      error: null,
      choices: [{ ...COMPLETION.choices[0], message: { content: '{"error":{"code":1}}' } }],
    };
    const { reply, settlement } = await relayed({ parts: [JSON.stringify(about)] });
    expect(reply.text).toBe(JSON.stringify(about));
    expect(settlement).toMatchObject({ outcome: "succeeded" });
    const quoted = event(chunk({ content: '{"error":{"code":1}}' }));
    const streamed = await relayed({ body: STREAM, type: "text/event-stream", parts: [quoted, ...CHUNKS] });
    expect(streamed.settlement).toMatchObject({ outcome: "succeeded" });
    expect(streamed.reply.text).toContain(quoted);
  });

  it("has words that the guardrails judge, because they may quote the model", async () => {
    const guardrails = () =>
      fakeGuardrailDirectory([
        { contentPatterns: [{ name: "s", pattern: "gone", action: "redact", appliesTo: "response" }] },
      ]);
    for (const sent of [
      { parts: [JSON.stringify(error)] },
      { body: STREAM, type: "text/event-stream", parts: [event(error)] },
    ]) {
      const { refusal } = await relayed({ ...sent, guardrails: guardrails() });
      expect(refusal).toMatchObject({ status: 404, message: "the model is [REDACTED]" });
    }
  });
});

describe("an error in the middle of a stream", () => {
  it.each<[string, string]>([
    ["an object", event({ error: { message: "out of memory", code: 507 } })],
    ["a list", event([{ error: { message: "out of memory", code: 507 } }] as object)],
    ["a named event", `event: error\n${event({ message: "out of memory", code: 507 })}`],
    ["beside a choice", event({ ...chunk({ content: "" }, "error"), error: { message: "out of memory", code: 507 } })],
  ])("is the last event in its own words, and the row has its code: %s", async (_, failed) => {
    const { reply, settlement } = await relayed({
      body: STREAM,
      type: "text/event-stream",
      parts: [...CHUNKS.slice(0, 3), failed, event(chunk({ content: "more" })), DONE],
    });
    expect(reply.status).toBe(200);
    const last = JSON.parse(dataOf(reply.text).at(-1) ?? "") as object;
    expect(last).toMatchObject({ error: { message: "out of memory", code: "507" } });
    expect(reply.text).not.toContain("more");
    expect(reply.text).not.toContain("[DONE]");
    expect(reply.ended).toBe(true);
    expect(settlement).toMatchObject({
      outcome: "failed",
      httpStatus: 200,
      errorCode: "507",
      upstreamError: "out of memory (507)",
    });
    expect(settlement?.costNanoUsd).toBeGreaterThan(0n);
  });

  it("is not passed on in words that concern the operator", async () => {
    const quota = event({ error: { message: "org-Ab12345678 has no credit", code: "insufficient_quota" } });
    const { reply, settlement } = await relayed({
      body: STREAM,
      type: "text/event-stream",
      parts: [...CHUNKS.slice(0, 2), quota],
    });
    expect(reply.text).toContain('"code":"upstream_quota_exhausted"');
    expect(reply.text).not.toMatch(/org-|credit"/);
    expect(settlement).toMatchObject({ errorCode: "upstream_quota_exhausted" });
    expect(settlement?.upstreamError).toMatch(/^\[redacted\] has no credit/);
  });

  it("makes a stream a failure even if it was finished by then", async () => {
    const failed = event({ error: { message: "late", code: "c" } });
    const { reply, settlement } = await relayed({
      body: STREAM,
      type: "text/event-stream",
      parts: [...CHUNKS.slice(0, 5), failed],
    });
    expect(reply.text).toContain('"message":"late"');
    expect(settlement).toMatchObject({ outcome: "failed", errorCode: "c", estimated: false, costNanoUsd: COST });
  });

  it("by the finish reason alone is a failure too", async () => {
    const { settlement } = await relayed({
      body: STREAM,
      type: "text/event-stream",
      parts: [...CHUNKS.slice(0, 3), event(chunk({}, "error")), DONE],
    });
    expect(settlement).toMatchObject({ outcome: "failed", errorCode: "upstream_error" });
    const filtered = await relayed({
      body: STREAM,
      type: "text/event-stream",
      parts: [...CHUNKS.slice(0, 3), event(chunk({}, "content_filter")), DONE],
    });
    expect(filtered.settlement).toMatchObject({ outcome: "succeeded" });
  });
});

describe("an error whose body never ends", () => {
  it.each([
    [400, { status: 400, message: "too long" }],
    [503, { status: 503, code: "upstream_overloaded" }],
  ])("is passed on after 5 s, in the words that have arrived, and its place is free: %i", async (status, expected) => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    try {
      let discarded = 0;
      async function* body(): AsyncGenerator<Uint8Array> {
        yield Buffer.from(JSON.stringify({ error: { message: "too long" } }));
        await new Promise(() => {});
      }
      const discard = (): void => void discarded++;
      const upstream = answeringUpstream("application/json", [], { status, body: body(), discard });
      const { serve, usage, budget } = pipelineUnderTest({ upstream });
      const served = serve(BODY);
      await vi.advanceTimersByTimeAsync(4_000);
      expect(usage.settlements).toEqual([]);
      await vi.advanceTimersByTimeAsync(1_500);
      expect((await served).refusal).toMatchObject(expected);
      expect(usage.settlements).toMatchObject([{ outcome: "failed", costNanoUsd: 0n }]);
      expect([budget.reservedNano, discarded]).toEqual([0n, 1]);
    } finally {
      vi.useRealTimers();
    }
  });
});
