import { createHash } from "node:crypto";
import type { Clock } from "@routeplane/domain";
import { yieldToEventLoop } from "@routeplane/guardrails";
import { isObject } from "../domain/wire/json.ts";
import { toErrorEnvelope } from "../domain/errors/error-envelope.ts";
import { Refusal } from "../domain/errors/refusal.ts";
import type { Upstream, UpstreamAnswer, UpstreamBody } from "../domain/ports/upstream.ts";
import { boundTokens, COUNTED_TEMPLATE } from "../domain/request/token-bounds.ts";
import { formatSse } from "../domain/wire/sse.ts";

/**
 * Deterministic upstream within the process, for a node without an account at a provider: it answers with the last user
 * message, as a chat completion of the OpenAI API.
 *
 * A token is a run of characters other than white space. Input tokens are those of the texts of all messages, output tokens
 * those of all choices.
 */
export function createEchoUpstream(clock: Clock): Upstream {
  return {
    // For a chat completion, the same count as in the answer, so that the reservation equals the charge.
    async boundTokens(request, model) {
      // A translated request has no hidden prompt either; the template covers the words that a translation adds.
      if (request.wire.name !== "chat") return boundTokens(request, model, COUNTED_TEMPLATE);
      const { text, choices, output } = request;
      const { prompt, userText } = await count(await parse(text));
      const tokens = Math.max(1, scanTokens(userText ?? "").count);
      return { inputTokensMax: prompt, outputTokensMax: Math.min(output?.bounded ?? tokens, tokens) * choices };
    },
    async send({ body, streamed }) {
      const text = bodyText(body);
      const completion = await complete(text, clock);
      if (completion === undefined) return noUserMessage();
      return streamed
        ? answer("text/event-stream", renderStream(completion))
        : answer("application/json", renderJson(completion));
    },
    async close() {},
  };
}

function bodyText(body: UpstreamBody): string {
  if (typeof body === "string") return body;
  return Buffer.concat(body instanceof Uint8Array ? [body] : body).toString("utf8");
}

/** Answer to one request, before it is rendered as JSON or as a stream. */
interface Completion {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  /** Text of each choice: whole tokens, each with the white space before it. */
  readonly content: string;
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

/** Length from which a text is worked on in several turns of the event loop. */
const LARGE_CHARS = 100_000;

async function parse(body: string): Promise<EchoRequest> {
  if (body.length > LARGE_CHARS) await yieldToEventLoop();
  return JSON.parse(body) as EchoRequest;
}

/** Makes the answer; undefined if no user message has text. The gateway has checked the shape of everything else. */
async function complete(body: string, clock: Clock): Promise<Completion | undefined> {
  const request = await parse(body);
  const { prompt, userText } = await count(request);
  if (userText === undefined) return undefined;
  if (userText.length > LARGE_CHARS) await yieldToEventLoop();
  const full = scanTokens(userText);
  const outputTokensMax = request.max_completion_tokens ?? request.max_tokens ?? full.count;
  const kept = outputTokensMax < full.count ? scanTokens(userText, outputTokensMax) : full;
  const choices = request.n ?? 1;
  const completion = kept.count * choices;
  if (body.length > LARGE_CHARS) await yieldToEventLoop();
  return {
    id: `chatcmpl-${createHash("sha256").update(body).digest("hex").slice(0, 24)}`,
    created: Math.floor(clock() / 1000),
    model: request.model,
    content: userText.slice(0, kept.end),
    finishReason: kept.count < full.count ? "length" : "stop",
    choices,
    usage: { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
    includeUsage: request.stream_options?.include_usage === true,
  };
}

/** Counts the tokens of all messages, and returns the text of the last user message. */
async function count({
  messages,
}: EchoRequest): Promise<{ readonly prompt: number; readonly userText: string | undefined }> {
  const last = messages.findLast(({ role }) => role === "user");
  let prompt = 0;
  let charsSincePause = 0;
  for (const { content } of messages) {
    const text = textOf(content) ?? "";
    charsSincePause += text.length;
    if (charsSincePause > LARGE_CHARS) {
      await yieldToEventLoop();
      charsSincePause = 0;
    }
    prompt += scanTokens(text).count;
  }
  return { prompt, userText: last && textOf(last["content"]) };
}

function textOf(content: unknown): string | undefined {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return undefined;
  const texts = content.filter(isObject).map(({ text }) => (typeof text === "string" ? text : ""));
  return texts.join(" ");
}

/** Counts up to `max` tokens. `end` is the index after the last one. */
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

/** Renders the JSON answer one choice at a time, so that the gateway can stop at one that is too large for it. */
async function* renderJson({ id, created, model, content, finishReason, choices, usage }: Completion) {
  if (content.length > LARGE_CHARS) await yieldToEventLoop();
  const head = JSON.stringify({ id, object: "chat.completion", created, model });
  const message = JSON.stringify({ role: "assistant", content, refusal: null });
  yield Buffer.from(`${head.slice(0, -1)},"choices":[`);
  for (let index = 0; index < choices; index++) {
    const rest = `"message":${message},"logprobs":null,"finish_reason":"${finishReason}"}`;
    yield Buffer.from(`${index === 0 ? "" : ","}{"index":${index},${rest}`);
  }
  yield Buffer.from(`],"usage":${JSON.stringify(usage)}}`);
}

/** Tokens that are sent in one turn of the event loop. */
const TOKENS_PER_TURN = 1_000;

/** Renders the stream: a chunk for each token. */
async function* renderStream(completion: Completion): AsyncGenerator<Uint8Array> {
  const { id, created, model, content, finishReason, choices, usage, includeUsage } = completion;
  const event = (choice: object[], streamUsage: object | null): Buffer => {
    const withUsage = includeUsage ? { usage: streamUsage } : {};
    const chunk = { id, object: "chat.completion.chunk", created, model, choices: choice, ...withUsage };
    return formatSse(JSON.stringify(chunk));
  };
  const delta = (index: number, delta: object, finish_reason: string | null = null): Buffer =>
    event([{ index, delta, logprobs: null, finish_reason }], null);
  for (let index = 0; index < choices; index++) {
    yield delta(index, { role: "assistant", content: "" });
    let sent = 0;
    for (const [token] of content.matchAll(TOKEN)) {
      yield delta(index, { content: token });
      // Pauses by itself: a client that takes everything at once causes no wait, and other requests would starve.
      if (++sent % TOKENS_PER_TURN === 0) await yieldToEventLoop();
    }
    yield delta(index, {}, finishReason);
  }
  if (includeUsage) yield event([], usage);
  yield formatSse("[DONE]");
}

function noUserMessage(): UpstreamAnswer {
  const message = "echo answers with the last user message, and there is none with text";
  const refusal = new Refusal("no_user_message", message, { param: "messages" });
  return { ...answer("application/json", bytesOf(toErrorEnvelope(refusal))), status: refusal.status };
}

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

function answer(contentType: string, body: AsyncIterable<Uint8Array>): UpstreamAnswer {
  return { status: 200, contentType, retryAfter: undefined, requestId: undefined, body, discard() {} };
}
