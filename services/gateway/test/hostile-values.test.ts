import type { GuardrailSpec } from "@routeplane/guardrails";
import { describe, expect, it } from "vitest";
import { Refusal } from "../src/domain/errors/refusal.ts";
import type { Upstream } from "../src/domain/ports/upstream.ts";
import type { WireName } from "../src/domain/wires/wire-name.ts";
import { INFERENCE_ROUTES } from "../src/handlers/inference.ts";
import { fakeBudget } from "./fake-admissions.ts";
import { fakeGuardrailDirectory } from "./fake-guardrail-directory.ts";
import { answeringUpstream } from "./fake-upstream.ts";
import { pipelineUnderTest } from "./pipeline-under-test.ts";
import { COMPLETION } from "./relayed-answer.ts";
import { HOSTILE, replaced } from "./replaced-values.ts";
import { message } from "./sample-messages.ts";

const TOOL = { name: "f", description: "d", input_schema: { type: "object" }, cache_control: { type: "ephemeral" } };
const IMAGE = { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" };
const MESSAGES = [
  {
    role: "user",
    content: [
      { type: "text", text: "hi", citations: [{ type: "char_location", cited_text: "c" }] },
      { type: "image", source: IMAGE, cache_control: { type: "ephemeral", ttl: "1h" } },
      { type: "image", source: { type: "url", url: "https://x.example/a.png" } },
      { type: "document", title: "t", source: { type: "text", media_type: "text/plain", data: "d" } },
      { type: "search_result", source: "s", title: "t", content: [{ type: "text", text: "x" }] },
    ],
  },
  {
    role: "assistant",
    content: [
      { type: "thinking", thinking: "t", signature: "s" },
      { type: "redacted_thinking", data: "d" },
      { type: "tool_use", id: "a", name: "f", input: { x: 1 } },
    ],
  },
  { role: "user", content: [{ type: "tool_result", tool_use_id: "a", content: [{ type: "text", text: "r" }] }] },
];
const MESSAGE_PARAMETERS = {
  model: "echo",
  system: [{ type: "text", text: "s" }],
  messages: MESSAGES,
  tools: [TOOL, { type: "bash_20250124", name: "bash" }],
  tool_choice: { type: "tool", name: "f" },
  thinking: { type: "enabled", budget_tokens: 1_024 },
  output_config: { format: { type: "json_schema", schema: {} } },
  context_management: { edits: [{ type: "clear_tool_uses_20250919" }] },
  metadata: { user_id: "u" },
  service_tier: "auto",
};

/** Bodies with every part of a wire that the gateway reads, and whole answers. */
const SAMPLES: Readonly<Record<string, { readonly body: object; readonly answer: object }>> = {
  "/v1/chat/completions": {
    body: {
      model: "echo",
      n: 1,
      max_tokens: 5_000,
      messages: [
        { role: "system", content: "s", name: "n" },
        {
          role: "user",
          content: [
            { type: "text", text: "t", cache_control: { type: "ephemeral" } },
            { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=", detail: "low" } },
            { type: "input_audio", input_audio: { data: "UklGRg==", format: "wav" } },
            { type: "file", file: { file_data: "data:text/plain;base64,eA==", filename: "f.txt" } },
          ],
        },
        {
          role: "assistant",
          content: "c",
          refusal: "r",
          reasoning_details: [{ type: "reasoning.text", text: "t" }],
          annotations: [{ type: "url_citation", url_citation: { url: "u", title: "t" } }],
          thinking_blocks: [{ type: "thinking", thinking: "t", signature: "s" }],
          tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: "{}" } }],
          extra_content: { google: { thought_signature: "s" } },
        },
        { role: "tool", tool_call_id: "a", content: "r" },
      ],
      tools: [{ type: "function", function: { name: "f", parameters: { type: "object" } } }],
      tool_choice: { type: "function", function: { name: "f" } },
      response_format: { type: "json_schema", json_schema: { name: "s", schema: {} } },
      modalities: ["text"],
      metadata: { a: "b" },
      reasoning_effort: "low",
      stop: ["x"],
      service_tier: "auto",
      temperature: 1,
    },
    answer: {
      ...COMPLETION,
      choices: [
        {
          index: 0,
          message: {
            role: "assistant",
            content: "hello",
            reasoning_content: "r",
            tool_calls: [{ index: 0, id: "a", type: "function", function: { name: "f", arguments: "{}" } }],
          },
          finish_reason: "stop",
        },
      ],
    },
  },
  "/v1/responses": {
    body: {
      model: "echo",
      instructions: "i",
      max_output_tokens: 5_000,
      input: [
        {
          role: "user",
          content: [
            { type: "input_text", text: "t" },
            { type: "input_image", image_url: "data:image/png;base64,iVBORw0KGgo=", detail: "low" },
            { type: "input_file", file_data: "data:text/plain;base64,eA==", filename: "f.txt" },
          ],
        },
        { type: "message", id: "m", role: "assistant", content: [{ type: "output_text", text: "t", annotations: [] }] },
        { type: "reasoning", id: "rs", summary: [{ type: "summary_text", text: "t" }], encrypted_content: "e" },
        { type: "function_call", call_id: "a", name: "f", arguments: "{}" },
        { type: "function_call_output", call_id: "a", output: "r" },
        { type: "custom_tool_call", call_id: "b", name: "g", input: "x" },
        { type: "custom_tool_call_output", call_id: "b", output: [{ type: "input_text", text: "r" }] },
      ],
      tools: [
        { type: "function", name: "f", parameters: { type: "object" } },
        { type: "custom", name: "g", format: { type: "text" } },
      ],
      tool_choice: { type: "function", name: "f" },
      text: { format: { type: "json_schema", name: "s", schema: {} }, verbosity: "low" },
      reasoning: { effort: "low", summary: "auto" },
      include: ["reasoning.encrypted_content"],
      metadata: { a: "b" },
      service_tier: "auto",
      store: false,
    },
    answer: {
      id: "resp_1",
      object: "response",
      status: "completed",
      model: "echo",
      output: [
        { type: "reasoning", id: "rs", summary: [{ type: "summary_text", text: "t" }] },
        { type: "message", id: "m", role: "assistant", content: [{ type: "output_text", text: "t", annotations: [] }] },
        { type: "function_call", id: "f", call_id: "a", name: "f", arguments: "{}" },
      ],
      usage: { input_tokens: 3, output_tokens: 1, total_tokens: 4 },
    },
  },
  "/v1/messages": {
    body: { ...MESSAGE_PARAMETERS, max_tokens: 5_000 },
    answer: message([
      { type: "thinking", thinking: "t", signature: "s" },
      { type: "text", text: "t", citations: [{ type: "char_location", cited_text: "c" }] },
      { type: "tool_use", id: "a", name: "f", input: { x: 1 } },
    ]),
  },
  "/v1/messages/count_tokens": { body: MESSAGE_PARAMETERS, answer: { input_tokens: 3 } },
  "/v1/embeddings": {
    body: { model: "echo", input: ["one", "two"], encoding_format: "float", dimensions: 3, user: "u" },
    answer: {
      object: "list",
      data: [{ object: "embedding", index: 0, embedding: [0.5] }],
      model: "echo",
      usage: { prompt_tokens: 3, total_tokens: 3 },
    },
  },
};

const spec: GuardrailSpec = {
  contentPatterns: [{ name: "word", pattern: "secret", action: "redact", appliesTo: "both" }],
};

const BUDGET_NANO = 10n ** 18n;

/** Faults of requests, or answers, with a place replaced, except refusals. */
async function faultsOf(
  { path, wire }: (typeof INFERENCE_ROUTES)[number],
  upstreamWire: WireName,
  replaces: "body" | "answer" | "answer without usage",
): Promise<readonly string[]> {
  const own = SAMPLES[path];
  const answering = INFERENCE_ROUTES.find(({ wire: { name } }) => name === upstreamWire);
  const sample = SAMPLES[answering?.path ?? ""]?.answer;
  if (own === undefined || sample === undefined) throw new Error(`${path} has no sample`);
  const answer = replaces === "answer without usage" ? { ...sample, usage: undefined } : sample;
  const faults = new Set<string>();
  let places = 0;
  let whole: unknown;
  const upstream: Upstream = {
    ...answeringUpstream("application/json", []),
    send: (request) => answeringUpstream("application/json", [JSON.stringify(whole)]).send(request),
  };
  // One pipeline for all requests: its guardrails are compiled once.
  const guardrails = fakeGuardrailDirectory([spec]);
  const wires = new Set([upstreamWire, ...(upstreamWire === "count_tokens" ? (["messages"] as const) : [])]);
  const budget = fakeBudget(BUDGET_NANO);
  const { serve, usage } = pipelineUnderTest({ upstream, wire, wires, guardrails, budget });
  for (const by of HOSTILE) {
    for (const changed of replaced(replaces === "body" ? own.body : answer, by)) {
      places++;
      whole = replaces === "body" ? answer : changed;
      const settledBefore = usage.settlements.length;
      const { refusal } = await serve(JSON.stringify(replaces === "body" ? changed : own.body));
      const isFault = refusal !== undefined && !(refusal instanceof Refusal);
      const isInternal = usage.settlements.slice(settledBefore).some(({ errorCode }) => errorCode === "internal_error");
      if (isFault || isInternal)
        faults.add(
          `${String(refusal)} ${JSON.stringify(by)} ${(refusal as Error | undefined)?.stack?.split("\n")[1] ?? ""}`,
        );
    }
  }
  expect(places).toBeGreaterThan(HOSTILE.length);
  // No request was refused because of its budget.
  expect(budget.spentNano).toBeLessThan(BUDGET_NANO / 2n);
  return [...faults];
}

const CASES = INFERENCE_ROUTES.flatMap((route) => {
  const { name } = route.wire;
  const translated: readonly WireName[] = name === "embeddings" || name === "count_tokens" ? [] : ["chat", "messages"];
  return [...new Set([name, ...translated])].map((upstreamWire) => ({ route, path: route.path, upstreamWire }));
});

describe.each(CASES)("$path over $upstreamWire", ({ route, upstreamWire }) => {
  it("answers or refuses a request whatever the value of any of its members", async () => {
    expect(await faultsOf(route, upstreamWire, "body")).toEqual([]);
  });

  it.each(["answer", "answer without usage"] as const)(
    "passes or refuses an %s whatever the value of any of its members",
    async (replaces) => {
      expect(await faultsOf(route, upstreamWire, replaces)).toEqual([]);
    },
  );
});
