import { createHash } from "node:crypto";
import type { Clock } from "@routeplane/domain";
import { yieldToEventLoop } from "@routeplane/guardrails";
import { isObject } from "../domain/request/chat-request.ts";
import { toErrorEnvelope } from "../domain/errors/error-envelope.ts";
import { Refusal } from "../domain/errors/refusal.ts";
import type { Upstream, UpstreamAnswer } from "../domain/ports/upstream.ts";
import { formatSse } from "../domain/wire/sse.ts";

/**
 * A deterministic upstream within the process, for a node without an account anywhere: it answers with the last user
 * message. Speaks the same bytes as a real one, so that all around it is exercised alike.
 *
 * Tokens: a run of characters other than white space is one token, in the text of every message on the way in and in every
 * choice on the way out.
 */
export function createEchoUpstream(clock: Clock): Upstream {
  return {
    // It counts as it will count when it answers, so that what is reserved is what is charged.
    async boundTokens({ text, choices, output }) {
      const { prompt, said } = await count(await parse(text));
      const words = Math.max(1, scanTokens(said ?? "").count);
      return { inputTokensMax: prompt, outputTokensMax: Math.min(output?.bounded ?? words, words) * choices };
    },
    async chatCompletion({ body, streamed }) {
      const text = typeof body === "string" ? body : new TextDecoder().decode(body);
      const completion = await complete(text, clock);
      if (completion === undefined) return invalid();
      return streamed ? answer("text/event-stream", chunks(completion)) : answer("application/json", whole(completion));
    },
    async close() {},
  };
}

interface Completion {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  /** The text of each choice: whole tokens, each with the white space before it. */
  readonly said: string;
  readonly finishReason: "stop" | "length";
  readonly choices: number;
  readonly usage: object;
  readonly includeUsage: boolean;
}

interface EchoRequest {
  readonly model: string;
  readonly messages: readonly Record<string, unknown>[];
  readonly max_tokens?: number | null;
  readonly max_completion_tokens?: number | null;
  readonly n?: number | null;
  readonly stream_options?: { readonly include_usage?: boolean } | null;
}

/** More than this is worked on in several turns of the event loop. */
const LARGE_CHARS = 100_000;

async function parse(body: string): Promise<EchoRequest> {
  if (body.length > LARGE_CHARS) await yieldToEventLoop();
  return JSON.parse(body) as EchoRequest;
}

/** Undefined if there is no user message with text. The gateway has checked the shape of everything else. */
async function complete(body: string, clock: Clock): Promise<Completion | undefined> {
  const request = await parse(body);
  const { prompt, said } = await count(request);
  if (said === undefined) return undefined;
  if (said.length > LARGE_CHARS) await yieldToEventLoop();
  const all = scanTokens(said);
  const outputTokensMax = request.max_completion_tokens ?? request.max_tokens ?? all.count;
  const kept = outputTokensMax < all.count ? scanTokens(said, outputTokensMax) : all;
  const choices = request.n ?? 1;
  const completion = kept.count * choices;
  if (body.length > LARGE_CHARS) await yieldToEventLoop();
  return {
    id: `chatcmpl-${createHash("sha256").update(body).digest("hex").slice(0, 24)}`,
    created: Math.floor(clock() / 1000),
    model: request.model,
    said: said.slice(0, kept.end),
    finishReason: kept.count < all.count ? "length" : "stop",
    choices,
    usage: { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
    includeUsage: request.stream_options?.include_usage === true,
  };
}

/** The tokens of all messages, and what the last user message says. */
async function count({
  messages,
}: EchoRequest): Promise<{ readonly prompt: number; readonly said: string | undefined }> {
  const last = messages.findLast(({ role }) => role === "user");
  let prompt = 0;
  let sinceTurn = 0;
  for (const { content } of messages) {
    const text = textOf(content) ?? "";
    sinceTurn += text.length;
    if (sinceTurn > LARGE_CHARS) {
      await yieldToEventLoop();
      sinceTurn = 0;
    }
    prompt += scanTokens(text).count;
  }
  return { prompt, said: last && textOf(last["content"]) };
}

function textOf(content: unknown): string | undefined {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return undefined;
  const texts = content.filter(isObject).map(({ text }) => (typeof text === "string" ? text : ""));
  return texts.join(" ");
}

/** Counts tokens, at most `max` of them. `end` is where the last one ends. */
function scanTokens(text: string, max = Infinity): { readonly count: number; readonly end: number } {
  let count = 0;
  let end = 0;
  let isInside = false;
  for (let at = 0; at < text.length; at++) {
    const isToken = !isWhiteSpace(text.charCodeAt(at));
    if (isToken && !isInside) {
      if (count === max) break;
      count++;
    }
    isInside = isToken;
    if (isToken) end = at + 1;
  }
  return { count, end };
}

/** True if `\s` matches the UTF-16 code unit. */
function isWhiteSpace(unit: number): boolean {
  if (unit < 0xa0) return unit === 0x20 || (unit >= 0x09 && unit <= 0x0d);
  if (unit >= 0x2000 && unit <= 0x200a) return true;
  return [0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000, 0xfeff].includes(unit);
}

const TOKEN = /\s*\S+/g;

/** A choice at a time: of an answer that is too large for the gateway no more is made than it takes. */
async function* whole({ id, created, model, said, finishReason, choices, usage }: Completion) {
  if (said.length > LARGE_CHARS) await yieldToEventLoop();
  const head = JSON.stringify({ id, object: "chat.completion", created, model });
  const message = JSON.stringify({ role: "assistant", content: said, refusal: null });
  yield Buffer.from(`${head.slice(0, -1)},"choices":[`);
  for (let index = 0; index < choices; index++) {
    const rest = `"message":${message},"logprobs":null,"finish_reason":"${finishReason}"}`;
    yield Buffer.from(`${index === 0 ? "" : ","}{"index":${index},${rest}`);
  }
  yield Buffer.from(`],"usage":${JSON.stringify(usage)}}`);
}

const TOKENS_A_TURN = 1_000;

async function* chunks(completion: Completion): AsyncGenerator<Uint8Array> {
  const { id, created, model, said, finishReason, choices, usage, includeUsage } = completion;
  const event = (choice: object[], usageOfStream: object | null): Buffer => {
    const withUsage = includeUsage ? { usage: usageOfStream } : {};
    const chunk = { id, object: "chat.completion.chunk", created, model, choices: choice, ...withUsage };
    return formatSse(JSON.stringify(chunk));
  };
  const delta = (index: number, delta: object, finish_reason: string | null = null): Buffer =>
    event([{ index, delta, logprobs: null, finish_reason }], null);
  for (let index = 0; index < choices; index++) {
    yield delta(index, { role: "assistant", content: "" });
    let sent = 0;
    for (const [word] of said.matchAll(TOKEN)) {
      yield delta(index, { content: word });
      // Nobody may be waiting for the client, who then gets nothing any more.
      if (++sent % TOKENS_A_TURN === 0) await yieldToEventLoop();
    }
    yield delta(index, {}, finishReason);
  }
  if (includeUsage) yield event([], usage);
  yield formatSse("[DONE]");
}

function invalid(): UpstreamAnswer {
  const message = "echo answers with the last user message, and there is none with text";
  const refusal = new Refusal("no_user_message", message, { param: "messages" });
  return { ...answer("application/json", once(toErrorEnvelope(refusal))), status: refusal.status };
}

async function* once(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

function answer(contentType: string, body: AsyncIterable<Uint8Array>): UpstreamAnswer {
  return { status: 200, contentType, retryAfter: undefined, body, discard() {} };
}
