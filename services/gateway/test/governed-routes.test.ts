import type { GuardrailSpec } from "@routeplane/guardrails";
import { DomainError } from "@routeplane/domain";
import { describe, expect, it } from "vitest";
import { INFERENCE_ROUTES } from "../src/handlers/inference.ts";
import type { PipelineDependencies } from "../src/domain/pipeline.ts";
import type { UpstreamAnswer } from "../src/domain/ports/upstream.ts";
import { fakeBudget } from "./fake-admissions.ts";
import { fakeGuardrailDirectory } from "./fake-guardrail-directory.ts";
import { answeringUpstream, breakingAfter } from "./fake-upstream.ts";
import { fakeUsageLog } from "./fake-usage-log.ts";
import { pipelineUnderTest } from "./pipeline-under-test.ts";
import { CHUNKS, COMPLETION, HEAD } from "./relayed-answer.ts";
import { message, messageStream, textBlock } from "./sample-messages.ts";

/** Request of a route with a word in its text, and answers with the same word. */
interface Sample {
  readonly body: object;
  readonly whole: object;
  /** Undefined if the route has no streams. */
  readonly stream?: string;
  /** False if an answer has no text. */
  readonly hasText: boolean;
  /** False if an answer is not billed. */
  readonly isBilled: boolean;
}

const WORD = "hello";
const USAGE = { input_tokens: 3, output_tokens: 1, total_tokens: 4 };
const response = (status: string, output: readonly object[]) => ({
  id: "resp_1",
  object: "response",
  status,
  model: "echo",
  output,
  usage: USAGE,
});
const ITEM = {
  type: "message",
  id: "msg_1",
  role: "assistant",
  status: "completed",
  content: [{ type: "output_text", text: WORD, annotations: [] }],
};
const event = (data: { readonly type: string; readonly [member: string]: unknown }): string =>
  `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
const place = { item_id: "msg_1", output_index: 0, content_index: 0 };

/** One sample for each route. A route without one fails the test. */
const SAMPLES: Readonly<Record<string, Sample>> = {
  "/v1/chat/completions": {
    body: { model: "echo", max_tokens: 50, messages: [{ role: "user", content: WORD }] },
    whole: COMPLETION,
    stream: CHUNKS.join(""),
    hasText: true,
    isBilled: true,
  },
  "/v1/responses": {
    body: { model: "echo", max_output_tokens: 50, input: WORD },
    whole: response("completed", [ITEM]),
    stream: [
      event({ type: "response.created", response: { ...response("in_progress", []), usage: null } }),
      event({ type: "response.output_item.added", output_index: 0, item: { ...ITEM, content: [] } }),
      event({
        type: "response.content_part.added",
        ...place,
        part: { type: "output_text", text: "", annotations: [] },
      }),
      event({ type: "response.output_text.delta", ...place, delta: "hel" }),
      event({ type: "response.output_text.delta", ...place, delta: "lo" }),
      event({ type: "response.output_text.done", ...place, text: WORD }),
      event({ type: "response.output_item.done", output_index: 0, item: ITEM }),
      event({ type: "response.completed", response: response("completed", [ITEM]) }),
    ].join(""),
    hasText: true,
    isBilled: true,
  },
  "/v1/messages": {
    body: { model: "echo", max_tokens: 50, messages: [{ role: "user", content: WORD }] },
    whole: message([{ type: "text", text: WORD }]),
    stream: messageStream(textBlock(0, "hel", "lo")),
    hasText: true,
    isBilled: true,
  },
  "/v1/messages/count_tokens": {
    body: { model: "echo", messages: [{ role: "user", content: WORD }] },
    whole: { input_tokens: 8 },
    hasText: false,
    isBilled: false,
  },
  "/v1/embeddings": {
    body: { model: "echo", input: WORD },
    whole: {
      object: "list",
      data: [{ object: "embedding", index: 0, embedding: [0.5] }],
      model: HEAD.model,
      usage: { prompt_tokens: 3, total_tokens: 3 },
    },
    hasText: false,
    isBilled: true,
  },
};

const CASES = INFERENCE_ROUTES.flatMap(({ path, wire }) => {
  const streams = wire.answer.stream === undefined ? [false] : [false, true];
  return streams.map((streamed) => ({ path, wire, streamed, kind: streamed ? "streamed" : "whole" }));
});

interface Options {
  readonly spec?: GuardrailSpec;
  readonly limitNano?: bigint;
  readonly usage?: ReturnType<typeof fakeUsageLog>;
  readonly overrides?: Partial<PipelineDependencies>;
  readonly answer?: Partial<UpstreamAnswer>;
}

/** Calls a route. */
async function called({ path, wire, streamed }: (typeof CASES)[number], options: Options = {}) {
  const sample = SAMPLES[path];
  if (sample === undefined) throw new Error(`${path} has no sample`);
  const parts = streamed ? [sample.stream ?? ""] : [JSON.stringify(sample.whole)];
  const upstream = answeringUpstream(streamed ? "text/event-stream" : "application/json", parts, options.answer);
  const { spec, limitNano = 1_000_000_000n, usage = fakeUsageLog(), overrides = {} } = options;
  const guardrails = fakeGuardrailDirectory(spec === undefined ? [] : [spec]);
  const wires = new Set([wire.name, ...(wire.name === "count_tokens" ? (["messages"] as const) : [])]);
  const { serve, sent, budget } = pipelineUnderTest({
    upstream,
    wire,
    wires,
    guardrails,
    usage,
    budget: fakeBudget(limitNano),
    overrides,
  });
  const { reply, refusal } = await serve({ ...sample.body, ...(streamed && { stream: true }) });
  return { sample, parts, reply, refusal, sent, usage, spentNano: budget.spentNano };
}

const rule = (appliesTo: "request" | "response", action: "block" | "redact"): GuardrailSpec => ({
  contentPatterns: [{ name: "word", pattern: WORD, action, appliesTo }],
});

describe.each(CASES)("$path, $kind", (route) => {
  it("serves a permitted call, and records it once, at its price", async () => {
    const { sample, parts, reply, refusal, usage, spentNano } = await called(route);
    expect(refusal).toBeUndefined();
    expect(reply.text).toBe(
      route.path === "/v1/chat/completions" && route.streamed
        ? parts.join("").replace(/data: [^\n]*"choices":\[\][^\n]*\n\n/, "")
        : parts.join(""),
    );
    expect(usage.admissions).toHaveLength(1);
    expect(usage.settlements).toHaveLength(1);
    expect(usage.settlements[0]).toMatchObject({ outcome: "succeeded", estimated: false });
    expect(spentNano > 0n).toBe(sample.isBilled);
  });

  it("lets no call through if its key is revoked or lacks the scope", async () => {
    const revoked = new DomainError("unauthenticated", "CREDENTIAL_REVOKED", "the API key is revoked");
    const subscribeToKey = () => Promise.reject(revoked);
    const { refusal, sent, usage } = await called(route, { overrides: { subscribeToKey } });
    expect(refusal).toMatchObject({ status: 401 });
    expect([sent, usage.admissions]).toEqual([[], []]);
  });

  it("lets no call through if a budget has nothing left for it", async () => {
    const { refusal, sent, usage } = await called(route, { limitNano: 0n });
    expect(refusal).toMatchObject({ status: 402, code: "budget_exceeded" });
    expect(sent).toEqual([]);
    expect(usage.settlements.every(({ outcome }) => outcome === "denied")).toBe(true);
  });

  it("lets no text through that a guardrail blocks or redacts, on the way to the upstream", async () => {
    const blocked = await called(route, { spec: rule("request", "block") });
    expect(blocked.refusal).toMatchObject({ status: 400, code: "content_blocked" });
    expect(blocked.sent).toEqual([]);
    const { sent } = await called(route, { spec: rule("request", "redact") });
    expect(sent[0]).toContain("[REDACTED]");
    expect(sent[0]).not.toContain(WORD);
  });

  it("lets no text through that a guardrail redacts, on the way back", async () => {
    const { sample, reply } = await called(route, { spec: rule("response", "redact") });
    expect(reply.text).not.toMatch(/hello|"lo"/);
    expect(reply.text.includes("[REDACTED]")).toBe(sample.hasText);
  });

  it("lets no call through for a model that a guardrail does not allow", async () => {
    const { refusal, sent } = await called(route, { spec: { modelDeny: ["echo"], contentPatterns: [] } });
    expect(refusal).toMatchObject({ status: 403 });
    expect(sent).toEqual([]);
  });

  it("lets no call through that cannot be recorded", async () => {
    const usage = fakeUsageLog();
    usage.refusesNew = true;
    const { refusal, sent } = await called(route, { usage });
    expect(refusal).toBeInstanceOf(Error);
    expect(sent).toEqual([]);
  });

  it("records and charges a call whose answer breaks off", async () => {
    const { sample, usage, spentNano } = await called(route, { answer: { body: breakingAfter("") } });
    expect(usage.settlements).toHaveLength(1);
    expect(usage.settlements[0]).toMatchObject({ outcome: "failed" });
    if (sample.isBilled) expect(spentNano).toBeGreaterThan(0n);
  });
});

describe("the count of tokens of a model whose upstream does not count", () => {
  it("is an estimate of the gateway, says so, and costs nothing", async () => {
    const route = INFERENCE_ROUTES.find(({ wire }) => wire.name === "count_tokens");
    const upstream = answeringUpstream("application/json", ["{}"]);
    if (route === undefined) throw new Error("there is a route");
    const { serve, sent, usage, budget } = pipelineUnderTest({ upstream, wire: route.wire, wires: new Set(["chat"]) });
    const { reply } = await serve({ ...SAMPLES[route.path]?.body, system: "Be brief and kind." });
    const { input_tokens: tokens, estimated } = JSON.parse(reply.text) as { input_tokens: number; estimated: boolean };
    expect(estimated).toBe(true);
    expect(tokens).toBeGreaterThan(5);
    expect(tokens).toBeLessThan(30);
    expect(sent).toEqual([]);
    expect(usage.settlements).toHaveLength(1);
    expect(budget.spentNano).toBe(0n);
  });
});
