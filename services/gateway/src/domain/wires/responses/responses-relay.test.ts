import { describe, expect, it } from "vitest";
import { answeringUpstream, breakingAfter } from "../../../../test/fake-upstream.ts";
import { MICRO, pipelineUnderTest } from "../../../../test/pipeline-under-test.ts";
import {
  callItem,
  reasoningItem,
  response,
  RESPONSE_BODY,
  RESPONSE_USAGE,
  responseEvent,
  responseStream,
  textItem,
} from "../../../../test/sample-responses.ts";
import { serveOnce } from "../../../../test/serve-once.ts";
import { createModelDirectory } from "../../request/model-directory.ts";
import type { UpstreamAnswer } from "../../ports/upstream.ts";
import { RESPONSES } from "./responses-wire.ts";

const served = (body: object | string, type: string, parts: readonly string[], more?: Partial<UpstreamAnswer>) =>
  serveOnce({ wire: RESPONSES }, body, type, parts, more);
const JSON_TYPE = "application/json";
const STREAM_TYPE = "text/event-stream";
const STREAM = { ...RESPONSE_BODY, stream: true };
/** Cost of 3 input tokens and 5 output tokens. */
const COST = 13n * MICRO;
const inThree = (text: string): readonly string[] => text.match(/[^]{1,3}/g) ?? [];
const ITEMS = [reasoningItem("hmm"), textItem("hello", "and more"), callItem('{"n":12345678901234567890}')];

describe("a response", () => {
  it("is requested and answered in the bytes of its client and its upstream", async () => {
    const body =
      '{"max_output_tokens" : 50,"model":"echo", "x_unknown":[12345678901234567890, 1.0,"\\u00e9\\/"],"store":true,"input":[{"content":"h\\u0069","role":"user"}]}';
    const answer = `${JSON.stringify(response([textItem("hi")])).slice(0, -1)}, "big": 98765432109876543210}`;
    const { sent, reply, settlement, spentNano } = await served(body, JSON_TYPE, [answer]);
    expect(sent).toEqual([body]);
    expect(reply.text).toBe(answer);
    expect(settlement).toMatchObject({ promptTokens: 3, completionTokens: 5, estimated: false, outcome: "succeeded" });
    expect(spentNano).toBe(COST);
  });

  it("gets an output bound if its client gives none", async () => {
    const { sent } = await served({ model: "echo", input: "hi" }, JSON_TYPE, [JSON.stringify(response([]))]);
    expect(JSON.parse(sent[0] ?? "")).toEqual({
      model: "echo",
      input: "hi",
      max_output_tokens: expect.any(Number) as number,
    });
  });

  it("counts cached input and reasoning as the parts that they are", async () => {
    const usage = {
      ...RESPONSE_USAGE,
      input_tokens: 30,
      input_tokens_details: { cached_tokens: 20, cache_write_tokens: 4 },
      output_tokens_details: { reasoning_tokens: 2 },
      total_tokens: 35,
    };
    const { settlement } = await served(RESPONSE_BODY, JSON_TYPE, [JSON.stringify(response([], { usage }))]);
    const parts = { cachedPromptTokens: 20, cacheWriteTokens: 4, reasoningTokens: 2 };
    expect(settlement).toMatchObject({ promptTokens: 30, completionTokens: 5, ...parts });
  });

  it("streams in the bytes of its upstream, and is charged by the usage of its last event", async () => {
    const stream = responseStream(ITEMS, inThree);
    for (const parts of [[stream], stream.match(/[^]{1,7}/g) ?? []]) {
      const { reply, settlement, spentNano } = await served(STREAM, STREAM_TYPE, parts);
      expect(reply.text).toBe(stream);
      expect(settlement).toMatchObject({
        promptTokens: 3,
        completionTokens: 5,
        estimated: false,
        outcome: "succeeded",
      });
      expect(spentNano).toBe(COST);
    }
  });

  it("that is truncated at its output bound counts as whole, and nothing follows its end", async () => {
    const end = { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } };
    const stream = responseEvent({ type: "response.incomplete", response: response([textItem("hi")], end) });
    const { reply, settlement } = await served(STREAM, STREAM_TYPE, [`${stream}data: [DONE]\n\n`]);
    expect(reply.text).toBe(stream);
    expect(settlement).toMatchObject({ outcome: "succeeded", completionTokens: 5, estimated: false });
  });

  it("that breaks off ends in an error event, and is charged for what was delivered", async () => {
    const stream = responseStream([textItem("one two three")], inThree);
    const head = stream.slice(0, stream.indexOf("event: response.output_item.done"));
    const { reply, settlement } = await served(STREAM, STREAM_TYPE, [], { body: breakingAfter(head) });
    expect(reply.text.startsWith(head)).toBe(true);
    const [, last = ""] = /event: error\ndata: (.*)\n\n$/.exec(reply.text) ?? [];
    expect(JSON.parse(last)).toMatchObject({
      type: "error",
      code: "upstream_error",
      error: { code: "upstream_error" },
    });
    expect(settlement).toMatchObject({ outcome: "failed", estimated: true });
    expect(settlement?.completionTokens).toBeGreaterThanOrEqual(3);
  });

  it.each<[string, string, object]>([
    [
      "alone",
      responseEvent({ type: "error", code: "server_error", message: "Overloaded", param: null, sequence_number: 9 }),
      { estimated: true },
    ],
    [
      "with its usage",
      responseEvent({
        type: "response.failed",
        response: response([], { status: "failed", error: { code: "server_error", message: "Overloaded" } }),
      }),
      { promptTokens: 3, completionTokens: 5, estimated: false },
    ],
  ])("that its upstream ends with an error %s gets it in the words of the upstream", async (_, error, used) => {
    const stream = responseStream([textItem("hi")], inThree);
    const head = stream.slice(0, stream.indexOf("event: response.output_item.done"));
    const { reply, settlement } = await served(STREAM, STREAM_TYPE, [head + error]);
    expect(reply.text.slice(head.length)).toMatch(/^event: error\ndata: \{"type":"error".*Overloaded/);
    expect(settlement).toMatchObject({ outcome: "failed", ...used });
  });

  it("that failed as a whole is an error", async () => {
    const failed = response([], { status: "failed", error: { code: "server_error", message: "Overloaded" } });
    const { refusal } = await served(RESPONSE_BODY, JSON_TYPE, [JSON.stringify(failed)]);
    expect(refusal).toMatchObject({ status: 502 });
    expect(refusal?.message).toContain("Overloaded");
  });

  it("leaves as events to a client that asked for a stream of an upstream that does not stream, and the reverse", async () => {
    const whole = JSON.stringify(response(ITEMS));
    const { reply } = await served(STREAM, JSON_TYPE, [whole]);
    const { reply: back, settlement } = await served(RESPONSE_BODY, STREAM_TYPE, [reply.text]);
    expect(back.text).toBe(whole);
    expect(settlement).toMatchObject({ promptTokens: 3, completionTokens: 5, estimated: false });
    const types = [...reply.text.matchAll(/^event: (.*)$/gm)].map(([, type]) => type);
    const stream = responseStream(ITEMS, (text) => [text]);
    expect(types).toEqual([...stream.matchAll(/^event: (.*)$/gm)].map(([, type]) => type));
  });

  it.each([
    ["input", { model: "echo" }],
    ["input", { model: "echo", input: [] }],
    ["input[0]", { model: "echo", input: ["hi"] }],
    ["input[0].content", { model: "echo", input: [{ role: "user", content: 7 }] }],
    [
      "input[0].content[1]",
      { model: "echo", input: [{ role: "user", content: [{ type: "input_text", text: "a" }, 7] }] },
    ],
    ["input[0].output", { model: "echo", input: [{ type: "function_call_output", call_id: "c1", output: 7 }] }],
    ["instructions", { ...RESPONSE_BODY, instructions: ["hi"] }],
    ["max_output_tokens", { ...RESPONSE_BODY, max_output_tokens: 0 }],
    ["background", { ...RESPONSE_BODY, background: true }],
    ["tools[0]", { ...RESPONSE_BODY, tools: ["f"] }],
    ["tools[0].type", { ...RESPONSE_BODY, tools: [{ type: "web_search_preview" }] }],
    ["tools[0].server_url", { ...RESPONSE_BODY, tools: [{ type: "function", name: "f", server_url: "https://x" }] }],
    ["previous_response_id", { ...RESPONSE_BODY, previous_response_id: "resp_1" }],
    ["conversation", { ...RESPONSE_BODY, conversation: "conv_1" }],
    ["prompt", { ...RESPONSE_BODY, prompt: { id: "pmpt_1" } }],
    ["max_tokens", { ...RESPONSE_BODY, max_tokens: 1_000_000, max_completion_tokens: 1_000_000 }],
    ["service_tier", { ...RESPONSE_BODY, service_tier: "flex" }],
    ["input", '{"model":"echo","input":"a","Input":"b"}'],
    ["input[0].content", '{"model":"echo","input":[{"role":"user","content":"a","Content":"b"}]}'],
  ])("is refused for its %s, before anything is sent", async (param, body) => {
    const { sent, refusal } = await served(body, JSON_TYPE, ["{}"]);
    expect(refusal).toMatchObject({ status: 400 });
    expect(refusal?.message).toContain(param === "max_tokens" ? "max_" : param);
    expect(sent).toEqual([]);
  });

  it("may run tools that its client runs, and send reasoning back", async () => {
    const body = {
      ...RESPONSE_BODY,
      store: false,
      include: ["reasoning.encrypted_content"],
      tools: [{ type: "function", name: "f", parameters: {} }, { type: "custom", name: "g" }, { type: "local_shell" }],
      input: [
        { role: "user", content: "hi" },
        { type: "reasoning", id: "rs_1", summary: [], encrypted_content: "gAAAAABo" },
        { type: "function_call", call_id: "c1", name: "f", arguments: "{}" },
        { type: "function_call_output", call_id: "c1", output: "1" },
      ],
    };
    const { sent } = await served(body, JSON_TYPE, [JSON.stringify(response([]))]);
    expect(sent).toEqual([JSON.stringify(body)]);
  });

  it("may refer to another response where the operator allows it, and is reserved for whatever that holds", async () => {
    const body = { ...RESPONSE_BODY, previous_response_id: "resp_1" };
    const directory = createModelDirectory([
      {
        provider: "echo",
        id: "echo",
        prices: [{ aboveInputTokens: 0, price: { inputPicoUsd: 1_000n, outputPicoUsd: 1_000n } }],
        priceVersion: "file:1",
        outputField: "max_tokens",
        memberRules: { allowed: new Set(["previous_response_id"]), surcharges: [] },
        wires: new Set(["responses"]),
      },
    ]);
    const upstream = answeringUpstream(JSON_TYPE, [JSON.stringify(response([]))]);
    const { serve, sent, usage } = pipelineUnderTest({ upstream, wire: RESPONSES, overrides: { directory } });
    await serve(body);
    expect(sent).toEqual([JSON.stringify(body)]);
    expect(usage.admissions[0]?.reservedNanoUsd).toBeGreaterThan(1_000_000n);
  });
});
