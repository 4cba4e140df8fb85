import { createHash } from "node:crypto";
import type { Clock } from "@routeplane/domain";
import { isObject } from "../domain/chat-request.ts";
import type { Upstream, UpstreamAnswer } from "../domain/upstream.ts";
import { formatSse } from "../domain/sse.ts";

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
    boundTokens({ text, choices, output }) {
      const { prompt, said } = count(JSON.parse(text) as EchoRequest);
      const words = Math.max(1, tokensOf(said ?? "").length);
      return { inputTokensMax: prompt, outputTokensMax: Math.min(output?.bounded ?? words, words) * choices };
    },
    async chatCompletion({ body, streamed }) {
      const text = typeof body === "string" ? body : new TextDecoder().decode(body);
      const completion = complete(text, clock);
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
  /** What each choice says, a token each with the white space before it. */
  readonly words: readonly string[];
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

/** Undefined if there is no user message with text. The gateway has checked the shape of everything else. */
function complete(body: string, clock: Clock): Completion | undefined {
  const request = JSON.parse(body) as EchoRequest;
  const { prompt, said } = count(request);
  if (said === undefined) return undefined;
  const all = tokensOf(said);
  const words = all.slice(0, request.max_completion_tokens ?? request.max_tokens ?? all.length);
  const choices = request.n ?? 1;
  const completion = words.length * choices;
  return {
    id: `chatcmpl-${createHash("sha256").update(body).digest("hex").slice(0, 24)}`,
    created: Math.floor(clock() / 1000),
    model: request.model,
    words,
    finishReason: words.length < all.length ? "length" : "stop",
    choices,
    usage: { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
    includeUsage: request.stream_options?.include_usage === true,
  };
}

/** The tokens of all messages, and what the last user message says. */
function count({ messages }: EchoRequest): { readonly prompt: number; readonly said: string | undefined } {
  const last = messages.findLast(({ role }) => role === "user");
  const prompt = messages.reduce((sum, { content }) => sum + tokensOf(textOf(content) ?? "").length, 0);
  return { prompt, said: last && textOf(last["content"]) };
}

function textOf(content: unknown): string | undefined {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return undefined;
  const texts = content.filter(isObject).map(({ text }) => (typeof text === "string" ? text : ""));
  return texts.join(" ");
}

function tokensOf(text: string): string[] {
  return text.match(/\s*\S+/g) ?? [];
}

async function* whole({ id, created, model, words, finishReason, choices, usage }: Completion) {
  const message = { role: "assistant", content: words.join(""), refusal: null };
  const all = Array.from({ length: choices }, (_, index) => ({
    index,
    message,
    logprobs: null,
    finish_reason: finishReason,
  }));
  yield Buffer.from(JSON.stringify({ id, object: "chat.completion", created, model, choices: all, usage }));
}

async function* chunks(completion: Completion): AsyncGenerator<Uint8Array> {
  const { id, created, model, words, finishReason, choices, usage, includeUsage } = completion;
  const event = (choice: object[], usageOfStream: object | null): Buffer => {
    const withUsage = includeUsage ? { usage: usageOfStream } : {};
    const chunk = { id, object: "chat.completion.chunk", created, model, choices: choice, ...withUsage };
    return formatSse(JSON.stringify(chunk));
  };
  const delta = (index: number, delta: object, finish_reason: string | null = null): Buffer =>
    event([{ index, delta, logprobs: null, finish_reason }], null);
  for (let index = 0; index < choices; index++) {
    yield delta(index, { role: "assistant", content: "" });
    for (const word of words) yield delta(index, { content: word });
    yield delta(index, {}, finishReason);
  }
  if (includeUsage) yield event([], usage);
  yield formatSse("[DONE]");
}

function invalid(): UpstreamAnswer {
  const message = "echo answers with the last user message, and there is none with text";
  const error = { message, type: "invalid_request_error", param: "messages", code: "no_user_message" };
  return { ...answer("application/json", once(JSON.stringify({ error }))), status: 400 };
}

async function* once(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

function answer(contentType: string, body: AsyncIterable<Uint8Array>): UpstreamAnswer {
  return { status: 200, contentType, retryAfter: undefined, body, discard() {} };
}
