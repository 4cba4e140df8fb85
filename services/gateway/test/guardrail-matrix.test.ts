import type { ServerResponse } from "node:http";
import type { ContentPattern, GuardrailSpec } from "@routeplane/guardrails";
import { afterEach, describe, expect, it } from "vitest";
import { type Answer, chunksOf, type GuardedGateway, startGuardedGateway } from "./guarded-gateway.ts";
import { type ReceivedRequest, sendJson } from "./fake-provider.ts";

/** Every endpoint, streamed or not, under every kind of rule. A new endpoint without a row here fails a test. */

let gateway: GuardedGateway | undefined;
afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
});

interface Endpoint {
  readonly path: string;
  readonly body: (prompt: string) => Record<string, unknown>;
  /** Sends the answer of the provider; if it is streamed, its text is in pieces. */
  readonly answer: (response: ServerResponse, received: ReceivedRequest) => void;
  /** Reads the text of an answer. */
  readonly read: (answer: Answer, streamed: boolean) => string;
}

const USAGE = { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 };
const PIECES = ["the sec", "ret", " is out"];

const ENDPOINTS: readonly Endpoint[] = [
  {
    path: "/v1/chat/completions",
    body: (prompt) => ({ model: "gpt-4o", messages: [{ role: "user", content: prompt }] }),
    answer: (response, { body }) => {
      const { stream } = JSON.parse(body) as { stream?: boolean };
      const head = { id: "chatcmpl-1", object: "chat.completion", created: 1, model: "gpt-4o" };
      if (stream !== true) {
        const message = { role: "assistant", content: PIECES.join("") };
        sendJson(response, 200, { ...head, choices: [{ index: 0, message, finish_reason: "stop" }], usage: USAGE });
        return;
      }
      response.writeHead(200, { "content-type": "text/event-stream" });
      const choice = (delta: object, finish_reason: string | null = null) => ({ index: 0, delta, finish_reason });
      const chunks = [choice({ role: "assistant", content: "" }), ...PIECES.map((content) => choice({ content }))];
      for (const chunk of [...chunks, choice({}, "stop")])
        response.write(`data: ${JSON.stringify({ ...head, choices: [chunk] })}\n\n`);
      response.end(`data: ${JSON.stringify({ ...head, choices: [], usage: USAGE })}\n\ndata: [DONE]\n\n`);
    },
    read: ({ text }, streamed) => {
      if (!streamed)
        return (JSON.parse(text) as { choices: { message: { content: string } }[] }).choices[0]!.message.content;
      return chunksOf(text)
        .map(({ choices }) => (choices[0]?.delta["content"] ?? "") as string)
        .join("");
    },
  },
];

const secret = (more: Partial<ContentPattern>): GuardrailSpec => ({
  contentPatterns: [{ name: "house words", pattern: "(?i)secret", action: "block", appliesTo: "both", ...more }],
});

interface Kind {
  readonly spec: GuardrailSpec;
  /** Text of the request. `hello` by default. */
  readonly prompt?: string;
  /** Refusal before anything is sent upstream. */
  readonly refused?: { readonly status: number; readonly code: string; readonly rule: string };
  /** Set if only streamed requests are refused (true), or only others (false). */
  readonly refusedWhen?: boolean;
  /** Text of the request as it reaches the provider. */
  readonly sent?: string;
  /** Text of the answer as it reaches the client. */
  readonly passed?: string;
  readonly blocked?: boolean;
}

const KINDS: Readonly<Record<string, Kind>> = {
  "no guardrail": { spec: {}, sent: "hello", passed: "the secret is out" },
  model_allow: {
    spec: { modelAllow: ["gpt-mini"] },
    refused: { status: 403, code: "model_not_allowed", rule: "model_allow" },
  },
  model_deny: {
    spec: { modelDeny: ["vendor/gpt-4*"] },
    refused: { status: 403, code: "model_not_allowed", rule: "model_deny" },
  },
  max_request_tokens: {
    spec: { maxRequestTokens: 20 },
    refused: { status: 400, code: "max_request_tokens_exceeded", rule: "max_request_tokens" },
  },
  allow_streaming: {
    spec: { allowStreaming: false },
    refused: { status: 400, code: "streaming_not_allowed", rule: "allow_streaming" },
    refusedWhen: true,
    sent: "hello",
    passed: "the secret is out",
  },
  "block, request": {
    spec: secret({ appliesTo: "request" }),
    prompt: "a Secret word",
    refused: { status: 400, code: "content_blocked", rule: "content_patterns" },
  },
  "block, request, and none in it": {
    spec: secret({ appliesTo: "request" }),
    sent: "hello",
    passed: "the secret is out",
  },
  "redact, request": {
    spec: secret({ appliesTo: "request", action: "redact" }),
    prompt: "a Secret word",
    sent: "a [REDACTED] word",
    passed: "the secret is out",
  },
  "block, response": {
    spec: secret({ appliesTo: "response" }),
    prompt: "a Secret word",
    sent: "a Secret word",
    blocked: true,
  },
  "redact, response": {
    spec: secret({ appliesTo: "response", action: "redact" }),
    prompt: "a Secret word",
    sent: "a Secret word",
    passed: "the [REDACTED] is out",
  },
  "block, both, in the request": {
    spec: secret({}),
    prompt: "a Secret word",
    refused: { status: 400, code: "content_blocked", rule: "content_patterns" },
  },
  "block, both, in the answer": { spec: secret({}), sent: "hello", blocked: true },
  "redact, both": {
    spec: secret({ action: "redact" }),
    prompt: "secret",
    sent: "[REDACTED]",
    passed: "the [REDACTED] is out",
  },
};

const MATRIX = ENDPOINTS.flatMap((endpoint) =>
  [false, true].flatMap((streamed) =>
    Object.entries(KINDS).map(([name, kind]) => ({ endpoint, path: endpoint.path, streamed, name, kind })),
  ),
);

describe("an endpoint under a guardrail", () => {
  it.each(MATRIX)("$path, streamed $streamed: $name", async ({ endpoint, streamed, kind }) => {
    gateway = await startGuardedGateway({ specs: [kind.spec], answer: endpoint.answer });
    const body = endpoint.body(kind.prompt ?? "hello");
    const answer = await gateway.post(endpoint.path, streamed ? { ...body, stream: true } : body);
    const { settlements } = gateway.usage;
    if (kind.refused !== undefined && (kind.refusedWhen ?? streamed) === streamed) {
      const { status, code, rule } = kind.refused;
      expect(answer.status).toBe(status);
      expect(answer.headers.get("x-should-retry")).toBe("false");
      expect(JSON.parse(answer.text)).toMatchObject({
        error: { code, policy_id: "pol_1", policy_name: "rule 1", binding_id: "bnd_1", rule: `guardrail.${rule}` },
      });
      expect(answer.text.toLowerCase()).not.toContain("secret word");
      expect(gateway.received).toEqual([]);
      const denied = { deniedByPolicyId: "pol_1", deniedByBindingId: "bnd_1", deniedRule: `guardrail.${rule}` };
      expect(settlements).toMatchObject([
        { outcome: "denied", costNanoUsd: 0n, httpStatus: status, errorCode: code, ...denied },
      ]);
      expect(gateway.usage.admissions).toEqual([]);
      return;
    }
    expect(JSON.parse(gateway.received[0]!.body)).toMatchObject({ messages: [{ content: kind.sent }] });
    const charge = {
      promptTokens: 7,
      completionTokens: 5,
      costNanoUsd: 17_000n,
      estimated: false,
      deniedByPolicyId: "",
    };
    if (kind.blocked === true) {
      expect(settlements).toMatchObject([{ outcome: "failed", errorCode: "content_blocked", ...charge }]);
      expect(answer.text).toContain('"code":"content_blocked"');
      expect(answer.text).toContain('"pattern":"house words"');
      expect(answer.status).toBe(streamed ? 200 : 400);
      expect(answer.text).not.toContain("ret");
      expect(answer.text).not.toContain("[DONE]");
      return;
    }
    expect(answer.status).toBe(200);
    expect(endpoint.read(answer, streamed)).toBe(kind.passed);
    expect(settlements).toMatchObject([{ outcome: "succeeded", ...charge }]);
    if (streamed) expect(answer.text.endsWith("data: [DONE]\n\n")).toBe(true);
  });
});
