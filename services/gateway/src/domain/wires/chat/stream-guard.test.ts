import type { ContentPattern, GuardrailSpec } from "@routeplane/guardrails";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { callerWith } from "../../../../test/fake-verifier.ts";
import { fakeGuardrailDirectory } from "../../../../test/fake-guardrail-directory.ts";
import { chunksOf } from "../../../../test/guarded-gateway.ts";
import { fakeReply } from "../../../../test/fake-reply.ts";
import { DecisionLog } from "../../guardrails/decision-log.ts";
import { createGuards } from "../../guardrails/guard.ts";
import type { CallingKey } from "../../ports/key-verifier.ts";
import { UpstreamFault } from "../../ports/upstream.ts";
import { ClientStream } from "../../response/client-stream.ts";
import { relay } from "../../response/relay.ts";
import { responseGuardOf } from "../../guardrails/response-guard.ts";
import { type SseEvent, SseSplitter } from "../../wire/sse.ts";
import { CHAT } from "./chat-wire.ts";
import { CompletionStreamGuard } from "./stream-guard.ts";
import { Timings } from "../../metering/timings.ts";

const pattern = (pattern: string, action: ContentPattern["action"] = "redact"): ContentPattern => ({
  name: pattern,
  pattern,
  action,
  appliesTo: "both",
});
const guardrail = (...contentPatterns: readonly ContentPattern[]): GuardrailSpec => ({ contentPatterns });

interface Streamed {
  readonly spec: GuardrailSpec;
  readonly mode?: "enforce" | "shadow";
  readonly bytes: readonly Uint8Array[];
  readonly breaks?: boolean;
  readonly wantsUsageChunk?: boolean;
}

/** Sends a stream through the relay. */
async function streamed({ spec, mode, bytes, breaks = false, wantsUsageChunk = true }: Streamed) {
  async function* body(): AsyncGenerator<Uint8Array> {
    yield* bytes;
    if (breaks) throw new UpstreamFault("broken", "connection reset");
  }
  const guard = await createGuards(fakeGuardrailDirectory([spec], mode))(callerWith([]) as CallingKey);
  const decisions = new DecisionLog(guard);
  const reply = fakeReply();
  const answer = {
    status: 200,
    contentType: "text/event-stream",
    retryAfter: undefined,
    requestId: undefined,
    body: body(),
    discard() {},
  };
  const responseGuard = await responseGuardOf({ guard, content: CHAT.content, decisions }, reply.signal, {
    spend() {},
    isExhausted: false,
  });
  const metered = { format: CHAT.answer, wantsUsageChunk, outputTokensMax: 1_000_000, choices: 2 };
  const context = {
    ...metered,
    reply,
    stream: new ClientStream(reply, CHAT.errors),
    guard: responseGuard,
    timings: new Timings(),
  };
  const relayed = await relay(answer, context);
  const { shadowDenials, guardrailDecisions } = decisions;
  return { relayed, reply, text: reply.text, chunks: chunksOf(reply.text), shadowDenials, guardrailDecisions };
}

const HEAD = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "m" };
const event = (chunk: object, lineEnd = "\n"): string =>
  `data: ${JSON.stringify({ ...HEAD, ...chunk })}${lineEnd}${lineEnd}`;
const delta = (index: number, delta: object, finish_reason: string | null = null): string =>
  event({ choices: [{ index, delta, finish_reason }] });
const USAGE = event({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 } });
const DONE = "data: [DONE]\n\n";

/** Texts that a client joins: one for each field of each choice. */
function textsOf(chunks: ReturnType<typeof chunksOf>): Record<string, string> {
  const texts: Record<string, string> = {};
  const add = (key: string, text: unknown): void => {
    if (typeof text === "string") texts[key] = (texts[key] ?? "") + text;
  };
  for (const { index, delta } of chunks.flatMap(({ choices }) => choices)) {
    for (const field of ["content", "reasoning", "reasoning_content", "refusal"])
      add(`${index} ${field}`, delta[field]);
    const calls = (delta["tool_calls"] ?? []) as { index: number; function: { arguments?: string } }[];
    for (const call of calls) add(`${index} call ${call.index}`, call.function.arguments);
  }
  return texts;
}

/** A field of a delta, with a text in it. */
const FIELDS: Readonly<Record<string, (text: string) => object>> = {
  content: (content) => ({ content }),
  reasoning: (reasoning) => ({ reasoning }),
  reasoning_content: (reasoning_content) => ({ reasoning_content }),
  refusal: (refusal) => ({ refusal }),
  "call 0": (text) => ({ tool_calls: [{ index: 0, function: { arguments: text } }] }),
  "call 1": (text) => ({ tool_calls: [{ index: 1, function: { arguments: text } }] }),
};

it("passes nothing after a fault while an event is judged", async () => {
  const guard = await createGuards(fakeGuardrailDirectory([guardrail(pattern("secret"))]))(
    callerWith([]) as CallingKey,
  );
  const caller = new AbortController();
  const meter = { spend() {}, isExhausted: false };
  const responseGuard = await responseGuardOf(
    { guard, content: CHAT.content, decisions: new DecisionLog(guard) },
    caller.signal,
    meter,
  );
  if (responseGuard === undefined) throw new Error("the pattern does not apply to answers");
  const streamGuard = new CompletionStreamGuard(responseGuard, 1);
  const [event] = new SseSplitter(10_000_000).push(Buffer.from(delta(0, { content: "a secre".repeat(100_000) })));
  const passing = streamGuard.pass(event as SseEvent);
  caller.abort(new Error("cut"));
  await expect(passing).rejects.toThrow("cut");
  expect(streamGuard.flush()).toEqual([]);
});

describe("a stream under content patterns", () => {
  const piece = fc.record({
    choice: fc.nat({ max: 1 }),
    field: fc.constantFrom(...Object.keys(FIELDS)),
    text: fc
      .array(fc.constantFrom("s", "e", "cret", "secret", "é", "😀", " ", "\n", '"', "\ud83d", "\ude00"), {
        maxLength: 4,
      })
      .map((all) => all.join("")),
  });

  it("passes each text as if it came whole, however it is cut into chunks and bytes", async () => {
    const spec = guardrail(
      pattern("s+e*cret"),
      pattern("é.?😀"),
      pattern(String.raw`\be cret\b`),
      pattern("(?m)^secret"),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 20 }),
        fc.array(fc.nat(), { maxLength: 20 }),
        async (pieces, cuts) => {
          const sent = pieces.map(({ choice, field, text }) => delta(choice, FIELDS[field]!(text))).join("");
          const bytes = Buffer.from(`${sent}${delta(0, {}, "stop")}${delta(1, {}, "length")}${USAGE}${DONE}`);
          const places = [
            0,
            ...cuts.map((offset) => offset % bytes.length).toSorted((first, second) => first - second),
            bytes.length,
          ];
          const { chunks, text, relayed } = await streamed({
            spec,
            bytes: places.slice(1).map((end, at) => bytes.subarray(places[at], end)),
          });
          const original = textsOf(chunksOf(bytes.toString()));
          const wholes = await Promise.all(
            Object.entries(original).map(async ([key, whole]) => {
              const field = key.slice(2);
              const { chunks } = await streamed({ spec, bytes: [Buffer.from(delta(0, FIELDS[field]!(whole)) + DONE)] });
              return [key, textsOf(chunks)[`0 ${field}`] ?? ""] as const;
            }),
          );
          expect(textsOf(chunks)).toEqual(Object.fromEntries(wholes));
          expect(relayed).toMatchObject({ outcome: "succeeded", usage: { promptTokens: 3, completionTokens: 4 } });
          expect(text.endsWith(USAGE + DONE)).toBe(true);
          for (const [index, reason] of [
            [0, "stop"],
            [1, "length"],
          ] as const) {
            const own = chunks.flatMap(({ choices }) => choices).filter((choice) => choice.index === index);
            expect(own.map(({ finish_reason }) => finish_reason).filter((each) => each !== null)).toEqual([reason]);
            expect(own.at(-1)?.finish_reason).toBe(reason);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it("passes text without a possible match byte for byte, and everything if no pattern applies to answers", async () => {
    const sent = `${event({ choices: [{ index: 0, delta: { role: "assistant", content: "héllo" } }], n: 1e3 })}${USAGE}${DONE}`;
    const bytes = [Buffer.from(sent)];
    expect((await streamed({ spec: guardrail(pattern("secret")), bytes })).text).toBe(sent);
    const forRequests = guardrail({ ...pattern("."), appliesTo: "request" });
    expect((await streamed({ spec: forRequests, bytes })).text).toBe(sent);
  });

  it("loses comments and all fields of events but their data, because they could contain text", async () => {
    const sent = `: the secret\n\nevent: sec\nid: ret\nretry: 1\n${USAGE}: x\n${DONE}`;
    const { text } = await streamed({ spec: guardrail(pattern("secret")), bytes: [Buffer.from(sent)] });
    expect(text).toBe(`:\n\n${USAGE}${DONE}`);
    const shadow = await streamed({ spec: guardrail(pattern("secret")), mode: "shadow", bytes: [Buffer.from(sent)] });
    expect(shadow.text).toBe(sent);
  });

  it("keeps ids, roles and other members of a chunk, where it rewrites a text", async () => {
    const sent =
      'data: {"id":"x", "big":12345678901234567890,"choices":[{"index":0,"delta":{"role":"assistant","content":"a secret"}}]}\n\n';
    const { text } = await streamed({ spec: guardrail(pattern("secret")), bytes: [Buffer.from(sent + DONE)] });
    expect(text).toBe(`${sent.replace("secret", "[REDACTED]")}${DONE}`);
  });

  it("passes held text before the chunk that finishes its choice, or in that chunk if it has text of its own", async () => {
    const spec = guardrail(pattern("secret"));
    const apart = await streamed({
      spec,
      bytes: [Buffer.from(delta(0, { content: "a sec" }) + delta(0, {}, "stop") + DONE)],
    });
    expect(apart.chunks.map(({ choices: [choice] }) => [choice?.delta["content"], choice?.finish_reason])).toEqual([
      ["a ", null],
      ["sec", null],
      [undefined, "stop"],
    ]);
    expect(apart.chunks.every(({ id }) => id === HEAD.id)).toBe(true);
    const within = await streamed({
      spec,
      bytes: [Buffer.from(delta(0, { content: "a se" }) + delta(0, { content: "c" }, "stop") + DONE)],
    });
    expect(textsOf(within.chunks)).toEqual({ "0 content": "a sec" });
    expect(within.chunks.at(-1)?.choices[0]).toMatchObject({ delta: { content: "sec" }, finish_reason: "stop" });
  });

  it("passes held text, redacted, when the upstream breaks off, and then ends with an error event", async () => {
    const spec = guardrail(pattern("secret"), pattern("a$"));
    const { chunks, relayed } = await streamed({
      spec,
      bytes: [Buffer.from(delta(0, { content: "the secret se, a" }))],
      breaks: true,
    });
    expect(textsOf(chunks.slice(0, -1))).toEqual({ "0 content": "the [REDACTED] se, [REDACTED]" });
    expect(chunks.at(-1)?.error).toMatchObject({ code: "upstream_error" });
    expect(relayed).toMatchObject({ outcome: "failed", errorCode: "upstream_error" });
  });

  it("ends with an error event where a pattern blocks, holds the match back, and still reads the usage", async () => {
    const spec = guardrail(pattern(String.raw`secret-\d{3}`, "block"));
    const sent = ["the ", "sec", "ret-", "12", "3", " and more"].map((content) => delta(0, { content })).join("");
    const { chunks, text, relayed } = await streamed({
      spec,
      bytes: [Buffer.from(sent + delta(0, {}, "stop") + USAGE + DONE)],
    });
    expect(textsOf(chunks.slice(0, -1))).toEqual({ "0 content": "the " });
    expect(chunks.at(-1)?.error).toMatchObject({
      code: "content_blocked",
      rule: "guardrail.content_patterns",
      pattern: String.raw`secret-\d{3}`,
    });
    expect(text).not.toContain("[DONE]");
    expect(relayed).toMatchObject({ outcome: "failed", errorCode: "content_blocked", httpStatus: 200, billable: true });
    expect(relayed.usage).toEqual({ promptTokens: 3, completionTokens: 4 });
  });

  it("is refused with 400 where the very first text is blocked, and where only its end shows the match", async () => {
    const spec = guardrail(pattern(String.raw`secret\z`, "block"));
    const first = await streamed({
      spec: guardrail(pattern("secret", "block")),
      bytes: [Buffer.from(delta(0, { content: "secret" }) + DONE)],
    });
    expect(first.relayed.refusal).toMatchObject({ status: 400, code: "content_blocked" });
    expect(first.text).toBe("");
    const atEnd = await streamed({ spec, bytes: [Buffer.from(delta(0, { content: "a secret" }) + DONE)] });
    expect(textsOf(atEnd.chunks.slice(0, -1))).toEqual({ "0 content": "a " });
    expect(atEnd.chunks.at(-1)?.error).toMatchObject({ code: "content_blocked" });
    expect(atEnd.text).not.toContain("[DONE]");
  });

  it("leaves arguments of tool calls valid JSON, whatever is redacted in them", async () => {
    const spec = guardrail(pattern(String.raw`\d{6,}`), pattern(String.raw`password\W+\S+`));
    const json = '{"card":4111111111111111,"n":12345,"password":"hunter2"}';
    const sent = json.match(/.{1,3}/g)!.map((args) => delta(0, FIELDS["call 0"]!(args)));
    const bytes = [Buffer.from(sent.join("") + delta(0, {}, "tool_calls") + DONE)];
    const args = textsOf((await streamed({ spec, bytes })).chunks)["0 call 0"] ?? "";
    expect(args).toBe('{"card":"[REDACTED]","n":12345,"[REDACTED]":"[REDACTED]"}');
  });

  it("judges the name of a tool by itself, and passes it in the chunk in which it came", async () => {
    const named = (index: number, name: string) =>
      delta(0, { tool_calls: [{ index, id: `call_${index}`, type: "function", function: { name, arguments: "" } }] });
    const sent = named(0, "find_sec") + named(1, "ret_of") + named(2, "secret_of");
    const { chunks } = await streamed({ spec: guardrail(pattern("secret")), bytes: [Buffer.from(sent + DONE)] });
    const calls = chunks.map(({ choices: [choice] }) => choice?.delta["tool_calls"]);
    expect(calls).toMatchObject([
      [{ index: 0, function: { name: "find_sec" } }],
      [{ index: 1, function: { name: "ret_of" } }],
      [{ index: 2, function: { name: "[REDACTED]_of" } }],
    ]);
  });

  describe("with more tool calls than texts are open at a time", () => {
    const COUNT = 1_100;
    const numbers = Array.from({ length: COUNT }, (_, index) => index);
    const call = (index: number, args: string, name?: string) => ({
      index,
      ...(name !== undefined && { id: `call_${index}`, type: "function" }),
      function: { ...(name !== undefined && { name }), arguments: args },
    });
    const calls = (...all: readonly object[]) => delta(0, { tool_calls: all });
    const twice = (first: string, second: string) =>
      numbers.flatMap((index) => [calls(call(index, first, "f")), calls(call(index, second))]).join("");
    const ended = delta(0, {}, "tool_calls") + DONE;
    const spec = guardrail(pattern("secret"));

    it("passes them byte for byte, one after the other and in one chunk", async () => {
      const inOne = calls(...numbers.map((index) => call(index, "{}", "f")));
      for (const sent of [twice('{"a"', ":1}") + ended, inOne + ended]) {
        expect((await streamed({ spec, bytes: [Buffer.from(sent)] })).text).toBe(sent);
      }
    });

    it("judges each over its chunks, and lets what is held of one leave once there are too many", async () => {
      const { chunks } = await streamed({ spec, bytes: [Buffer.from(twice("a sec", "ret sec") + ended)] });
      const texts = textsOf(chunks);
      for (const index of numbers) expect(texts[`0 call ${index}`]).toBe("a [REDACTED] sec");
    });

    it("lets the held part of a call leave in its chunk, if there are too many in one", async () => {
      const all = numbers.map((index) => call(index, "a sec", "f"));
      const { chunks } = await streamed({ spec, bytes: [Buffer.from(calls(...all) + ended)] });
      const texts = textsOf(chunks);
      for (const index of numbers) expect(texts[`0 call ${index}`]).toBe("a sec");
    });

    it.each([
      ["the arguments", calls(call(0, "ret"))],
      ["the name", calls({ index: 0, function: { name: "ret" } })],
    ])("refuses more of %s of a call that had to end", async (_, more) => {
      const begun = calls(call(0, "a sec", "a_sec")) + twice("{", "}");
      const sent = begun.replace(calls(call(0, "{", "f")), "").replace(calls(call(0, "}")), "");
      const { text, relayed } = await streamed({ spec, bytes: [Buffer.from(sent + more + ended)] });
      expect(text).not.toContain('"ret"');
      expect(relayed).toMatchObject({ errorCode: "content_blocked" });
    });

    it("refuses no stream for a guardrail in shadow mode", async () => {
      const sent = twice("{", "}") + calls(call(0, "{}")) + ended;
      expect((await streamed({ spec, mode: "shadow", bytes: [Buffer.from(sent)] })).text).toBe(sent);
    });
  });

  it("does not repeat the text in logprobs, nor in unknown members", async () => {
    const spec = guardrail(pattern("secret"));
    const logprobs = {
      content: [
        { token: "sec", logprob: 0 },
        { token: "ret", logprob: 0 },
      ],
    };
    const chunk = event({
      choices: [{ index: 0, delta: { content: "x", novel: { deep: ["a secret"] } }, logprobs }],
      note: "secret",
    });
    const { text, chunks } = await streamed({ spec, bytes: [Buffer.from(chunk + DONE)] });
    expect(text).not.toMatch(/sec|ret/);
    expect(chunks[0]).toMatchObject({
      note: "[REDACTED]",
      choices: [{ logprobs: null, delta: { novel: { deep: ["a [REDACTED]"] } } }],
    });
  });

  it("is judged by a guardrail in shadow mode, and passes byte for byte", async () => {
    const sent = delta(0, { content: "a sec" }) + delta(0, { content: "ret" }) + delta(0, {}, "stop") + DONE;
    const { text, shadowDenials } = await streamed({
      spec: guardrail(pattern("secret", "block")),
      mode: "shadow",
      bytes: [Buffer.from(sent)],
    });
    expect(text).toBe(sent);
    expect(shadowDenials).toEqual([{ policyId: "pol_1", bindingId: "bnd_1", rule: "guardrail.content_patterns" }]);
  });
});
