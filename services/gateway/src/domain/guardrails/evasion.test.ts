import { readFile } from "node:fs/promises";
import type { GuardrailSpec } from "@routeplane/guardrails";
import { describe, expect, it } from "vitest";
import { callerWith } from "../../../test/fake-verifier.ts";
import { fakeGuardrailDirectory } from "../../../test/fake-guardrail-directory.ts";
import { fakeReply } from "../../../test/fake-reply.ts";
import { parseRequest } from "../request/parse-request.ts";
import { CHAT } from "../wires/chat/chat-wire.ts";
import { DecisionLog } from "./decision-log.ts";
import { Refusal } from "../errors/refusal.ts";
import { ANSWERS, MEDIA, REQUESTS, STREAMS } from "../../../test/evasion-variants.ts";
import { createGuards } from "./guard.ts";
import { JudgingMeter } from "./judging-meter.ts";
import type { CallingKey } from "../ports/key-verifier.ts";
import { ClientStream } from "../response/client-stream.ts";
import { relay } from "../response/relay.ts";
import { guardRequest } from "./request-guard.ts";
import { responseGuardOf } from "./response-guard.ts";
import { Timings } from "../metering/timings.ts";
import { boundTokens } from "../request/token-bounds.ts";
import { fakeTokenCounter } from "../../../test/fake-token-counter.ts";

/** Tests of every variant of `evasion-variants.ts`, in its direction, under patterns that block and that redact. */

const SECRET = String.raw`secret|\b4111111111111111\b`;
const words = (action: "block" | "redact", more: GuardrailSpec = {}): GuardrailSpec => ({
  contentPatterns: [{ name: "words", pattern: SECRET, action, appliesTo: "both" }],
  ...more,
});

const MODEL = {
  provider: "vendor",
  id: "m",
  prices: [{ aboveInputTokens: 0, price: { inputPicoUsd: 1n, outputPicoUsd: 1n } }] as const,
  priceVersion: "file:1",
  outputField: "max_tokens" as const,
};
const share = new JudgingMeter(() => 0).shareOf(callerWith([]) as CallingKey);

async function request(spec: GuardrailSpec, json: string, mode?: "shadow") {
  const guard = await createGuards(fakeGuardrailDirectory([spec], mode))(callerWith([]) as CallingKey);
  const decisions = new DecisionLog(guard);
  const { signal } = new AbortController();
  const request = await parseRequest(CHAT, Buffer.from(json), signal);
  const reply = { signal };
  const judged = {
    guard,
    request,
    model: MODEL,
    upstream: { boundTokens },
    tokenCounter: fakeTokenCounter(),
    decisions,
    reply,
    judgingShare: share,
  };
  const outcome = await guardRequest(judged).catch((error: unknown) => error);
  const rules = decisions.shadowDenials.map(({ rule }) => rule);
  if (outcome instanceof Refusal && outcome.denial !== undefined) {
    return { code: outcome.code, denial: outcome.denial, text: "", rules };
  }
  if (outcome instanceof Error) throw outcome;
  const guarded = outcome as Awaited<ReturnType<typeof guardRequest>>;
  return { code: undefined, denial: undefined, text: guarded.request.text, rules };
}

async function answer(spec: GuardrailSpec, bytes: string, streamed: boolean, mode?: "shadow") {
  const guard = await createGuards(fakeGuardrailDirectory([spec], mode))(callerWith([]) as CallingKey);
  const decisions = new DecisionLog(guard);
  const reply = fakeReply();
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(bytes);
  }
  const contentType = streamed ? "text/event-stream" : "application/json";
  const answered = {
    status: 200,
    contentType,
    retryAfter: undefined,
    requestId: undefined,
    body: body(),
    discard() {},
  };
  const metered = { format: CHAT.answer, wantsUsageChunk: true, outputTokensMax: 1_000_000, choices: 1 };
  const responseGuard = await responseGuardOf({ guard, content: CHAT.content, decisions }, reply.signal, share);
  const stream = streamed ? new ClientStream(reply, CHAT.errors) : undefined;
  const context = { ...metered, reply, stream, guard: responseGuard, timings: new Timings() };
  const { errorCode } = await relay(answered, context);
  return { code: errorCode, text: reply.text, rules: decisions.shadowDenials.map(({ rule }) => rule) };
}

/** Text as a client that joins the pieces of a stream can read it. */
const reads = (text: string): string =>
  text.normalize("NFKC").replaceAll(/[\p{Default_Ignorable_Code_Point}\p{Cc}]/gu, "");
const LEAK = /secret|4111111111111111|c2VjcmV0|sec.*ret/is;

describe("the table of variants", () => {
  it("has a row for each tested variant, and no other", async () => {
    const table = await readFile(new URL("../../../evasion-variants.md", import.meta.url), "utf8");
    const rows = [...table.matchAll(/^\| (request|answer|stream|uninspectable) +\| (.*?) +\|/gm)];
    const variants = { request: REQUESTS, answer: ANSWERS, stream: STREAMS, uninspectable: MEDIA };
    const tried = Object.entries(variants).flatMap(([direction, each]) =>
      Object.keys(each).map((name) => [direction, name]),
    );
    expect(rows.map(([, direction, name]) => [direction, name])).toEqual(tried);
  });
});

describe("a variant of a request", () => {
  it.each(Object.entries(REQUESTS))("is blocked and redacted: %s", async (_, body) => {
    const json = typeof body === "string" ? body : JSON.stringify(body);
    expect((await request(words("block"), json)).code).toBe("content_blocked");
    const { text, code } = await request(words("redact"), json);
    expect(code).toBeUndefined();
    expect(JSON.parse(text)).toBeDefined();
    expect(reads(JSON.stringify(JSON.parse(text)))).not.toMatch(LEAK);
    expect(text).not.toBe(json);
    expect((await request(words("block"), json, "shadow")).rules).toContain("guardrail.content_patterns");
  });
});

describe("the arguments of a tool call", () => {
  it("stay valid JSON where a number in them is redacted, in requests and in answers", async () => {
    const call = { id: "call_1", type: "function", function: { name: "f", arguments: '{"n":4111111111111111}' } };
    const message = { role: "assistant", content: null, tool_calls: [call] };
    const guarded = await request(words("redact"), JSON.stringify({ model: "m", messages: [message] }));
    const answered = await answer(words("redact"), JSON.stringify({ choices: [{ index: 0, message }] }), false);
    for (const { text } of [guarded, answered]) expect(text).toContain(String.raw`"{\"n\":\"[REDACTED]\"}"`);
  });
});

describe("a variant of an answer", () => {
  it.each(Object.entries(ANSWERS))("is blocked and redacted: %s", async (_, json) => {
    expect((await answer(words("block"), json, false)).code).toBe("content_blocked");
    const { text } = await answer(words("redact"), json, false);
    expect(JSON.parse(text)).toBeDefined();
    expect(reads(text)).not.toMatch(LEAK);
    expect((await answer(words("block"), json, false, "shadow")).rules).toContain("guardrail.content_patterns");
  });
});

/** Variants that are dropped: no client of the API needs them, or they come too late to be judged. */
const DROPPED = new Set([
  "text after the chunk that finishes a choice",
  "text after the end of the stream",
  "another index than that of the one choice",
  "the event, the id and comments",
  "a retry field with text",
  "logprobs",
  "logprobs within a delta",
]);

describe("a variant of a stream", () => {
  it.each(Object.entries(STREAMS))("is blocked or dropped, and redacted: %s", async (name, sent) => {
    const blocked = await answer(words("block"), sent, true);
    expect(blocked.code).toBe(DROPPED.has(name) ? "" : "content_blocked");
    expect(reads(blocked.text.replaceAll(/"pattern.*/g, ""))).not.toMatch(LEAK);
    const { text } = await answer(words("redact"), sent, true);
    expect(reads(text)).not.toMatch(LEAK);
  });
});

describe("content that cannot be inspected", () => {
  it.each(Object.entries(MEDIA))("is refused where a pattern blocks, and passes by the rule: %s", async (_, body) => {
    const json = JSON.stringify(body);
    const { code, denial } = await request(words("block"), json);
    expect(code).toBe("content_uninspectable");
    expect(denial).toMatchObject({ rule: "guardrail.uninspectable", policyId: "pol_1", bindingId: "bnd_1" });
    expect((await request(words("block", { uninspectable: "pass" }), json)).text).toBe(json);
    expect((await request(words("redact"), json)).text).toBe(json);
    expect((await request({ uninspectable: "block" }, json)).code).toBe("content_uninspectable");
    const shadow = await request(words("block"), json, "shadow");
    expect([shadow.text, shadow.rules]).toEqual([json, ["guardrail.uninspectable"]]);
  });

  it("is refused in answers too, whole and streamed", async () => {
    const audio = { id: "audio_1", data: "UklGRgAAAAA=", transcript: "hi" };
    const image = { images: [{ type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } }] };
    for (const media of [{ audio }, image]) {
      const message = { role: "assistant", content: "x", ...media };
      const whole = JSON.stringify({ id: "c", choices: [{ index: 0, message, finish_reason: "stop" }] });
      const streamed = `data: ${JSON.stringify({ id: "c", choices: [{ index: 0, delta: message }] })}\n\ndata: [DONE]\n\n`;
      for (const [sent, isStream] of [
        [whole, false],
        [streamed, true],
      ] as const) {
        expect((await answer(words("block"), sent, isStream)).code).toBe("content_uninspectable");
        expect((await answer({ uninspectable: "block" }, sent, isStream)).code).toBe("content_uninspectable");
        expect((await answer(words("redact"), sent, isStream)).text).toBe(sent);
        const shadow = await answer(words("block"), sent, isStream, "shadow");
        expect([shadow.text, shadow.rules]).toEqual([sent, ["guardrail.uninspectable"]]);
      }
    }
  });
});
