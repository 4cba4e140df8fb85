import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { breakingAfter } from "../../../test/fake-upstream.ts";
import { message, messageEvent, messageStream, textBlock } from "../../../test/sample-messages.ts";
import { response, responseEvent, responseStream, textItem } from "../../../test/sample-responses.ts";
import { Cancellation } from "../ports/cancel-signal.ts";
import type { UpstreamAnswer } from "../ports/upstream.ts";
import type { AnswerFormat } from "../wires/answer-format.ts";
import { CHAT_ANSWER } from "../wires/chat/chat-answer.ts";
import { MESSAGES_ANSWER } from "../wires/messages/messages-answer.ts";
import { RESPONSES_ANSWER } from "../wires/responses/responses-answer.ts";
import { withFailure } from "./answer-failure.ts";

interface Searched {
  readonly format?: AnswerFormat;
  readonly more?: Partial<UpstreamAnswer>;
  readonly signal?: Cancellation;
}

/** Searches an answer whose body has these bytes. */
function search(
  body: AsyncIterable<Uint8Array> | readonly string[],
  { format = CHAT_ANSWER, more, signal = new Cancellation() }: Searched = {},
): Promise<UpstreamAnswer> {
  const head = { status: 200, contentType: "text/event-stream", retryAfter: undefined, requestId: undefined };
  const bytes = Symbol.asyncIterator in body ? body : piecesOf(body);
  return withFailure({ ...head, discard() {}, body: bytes, ...more }, { format, signal });
}

async function* piecesOf(pieces: readonly (string | Buffer)[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield Buffer.from(piece);
}

/** Body that gives these pieces and then waits. */
async function* waitingAfter(...pieces: readonly string[]): AsyncGenerator<Uint8Array> {
  yield* piecesOf(pieces);
  await new Promise(() => {});
}

async function textOf({ body }: UpstreamAnswer): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

const data = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;
const messagesError = (type: string): string => messageEvent({ type: "error", error: { type, message: "Overloaded" } });
const responseFailed = (code: string, more: object = {}): string =>
  responseEvent({
    type: "response.failed",
    response: response([], { status: "failed", usage: null, error: { code, message: "no" }, ...more }),
  });
const CHUNK = data({ choices: [{ index: 0, delta: { content: "é" } }] });
const CHAT_ERROR = data({ error: { message: "no", type: "server_error", code: null } });

describe("an error that a stream begins with", () => {
  it.each<[string, AnswerFormat, string, number]>([
    ["overloaded, of messages", MESSAGES_ANSWER, messagesError("overloaded_error"), 503],
    ["a rate limit, of messages", MESSAGES_ANSWER, messagesError("rate_limit_error"), 429],
    ["a failure, of messages", MESSAGES_ANSWER, messagesError("api_error"), 500],
    ["about the request, of messages", MESSAGES_ANSWER, messagesError("invalid_request_error"), 400],
    ["behind a ping", MESSAGES_ANSWER, messageEvent({ type: "ping" }) + messagesError("overloaded_error"), 503],
    ["a failure, of chats", CHAT_ANSWER, CHAT_ERROR, 500],
    ["a status, of chats", CHAT_ANSWER, data({ error: { message: "no", code: 429 } }), 429],
    ["behind comments and blank data", CHAT_ANSWER, `: wait\n\n\n\ndata:\n\n: wait\n\n${CHAT_ERROR}`, 500],
    ["in a choice without text", CHAT_ANSWER, data({ choices: [{ index: 0, error: { code: 502 }, delta: {} }] }), 502],
    ["an event of responses", RESPONSES_ANSWER, responseEvent({ type: "error", code: "server_error" }), 500],
    ["a failed response", RESPONSES_ANSWER, responseFailed("server_error"), 500],
    ["a response beyond a rate", RESPONSES_ANSWER, responseFailed("rate_limit_exceeded"), 429],
    ["behind a keep-alive", RESPONSES_ANSWER, data({ type: "keepalive" }) + responseFailed("server_error"), 500],
  ])("is found, and passed on byte by byte, wherever its bytes are split: %s", async (_, format, text, status) => {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at++) {
      const parts = piecesOf([bytes.subarray(0, at), bytes.subarray(at)]);
      const answer = await search(parts, { format });
      expect(answer.failure).toMatchObject({ status });
      expect(await textOf(answer)).toBe(text);
    }
  });

  it("is found although the stream goes on, or ends without a blank line", async () => {
    expect((await search(waitingAfter(CHAT_ERROR))).failure).toMatchObject({ status: 500 });
    expect((await search([CHAT_ERROR.trim()])).failure).toMatchObject({ status: 500 });
  });

  it("says how long to wait", async () => {
    const text = data({ error: { message: "please try again in 1.5s", code: "rate_limit_exceeded" } });
    expect((await search([text])).failure).toEqual({ status: 429, retryAfterMs: 1_500 });
  });

  it.each<[string, AnswerFormat, string]>([
    ["it comes after output", CHAT_ANSWER, CHUNK + CHAT_ERROR],
    ["a message has begun", MESSAGES_ANSWER, messageStream().slice(0, 200) + messagesError("overloaded_error")],
    [
      "it reports usage",
      CHAT_ANSWER,
      data({ error: { code: 500 }, usage: { prompt_tokens: 3, completion_tokens: 1 } }),
    ],
    [
      "it comes beside output",
      CHAT_ANSWER,
      data({ error: { code: 500 }, choices: [{ index: 0, delta: { content: "a" } }] }),
    ],
    ["a failed response has output", RESPONSES_ANSWER, responseFailed("server_error", { output: [textItem("a")] })],
    ["its words stand for no status", CHAT_ANSWER, data({ error: { message: "no" } })],
    ["it is truncated", MESSAGES_ANSWER, messagesError("overloaded_error").slice(0, -10)],
  ])("is no failure of the attempt if %s", async (_, format, text) => {
    const answer = await search([text], { format });
    expect(answer.failure).toBeUndefined();
    expect(await textOf(answer)).toBe(text);
  });
});

it.each<[string, AnswerFormat, string]>([
  ["chats", CHAT_ANSWER, `: wait\n\n${CHUNK}${CHUNK}data: [DONE]\n\n`],
  ["messages", MESSAGES_ANSWER, messageStream(textBlock(0, "é", "b"))],
  ["responses", RESPONSES_ANSWER, responseStream([textItem("é")], (text) => [text])],
  ["nothing", CHAT_ANSWER, ""],
])("a stream of %s is passed on byte by byte, wherever its bytes are split", async (_, format, text) => {
  const bytes = Buffer.from(text);
  for (let at = 0; at <= bytes.length; at++) {
    const answer = await search(piecesOf([bytes.subarray(0, at), bytes.subarray(at)]), { format });
    expect(answer.failure).toBeUndefined();
    expect(await textOf(answer)).toBe(text);
  }
});

describe("a whole error with a status of success", () => {
  const error = JSON.stringify({ error: { message: "no", code: 503 } });
  const more = { contentType: "application/json" };

  it("is found, in one piece or in several", async () => {
    expect((await search([], { more: { ...more, whole: Buffer.from(error) } })).failure?.status).toBe(503);
    const answer = await search(["\n", error.slice(0, 9), error.slice(9)], { more });
    expect(answer.failure?.status).toBe(503);
    expect(await textOf(answer)).toBe(`\n${error}`);
  });

  it("is not seen in an answer that is none", async () => {
    const text = JSON.stringify(message([{ type: "text", text: error }]));
    const whole = Buffer.from(text);
    expect((await search([], { format: MESSAGES_ANSWER, more: { ...more, whole } })).failure).toBeUndefined();
    expect((await search([text], { format: MESSAGES_ANSWER, more })).failure).toBeUndefined();
  });
});

describe("a search", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("leaves an answer of another status unread", async () => {
    const next = vi.fn<() => Promise<never>>();
    const body = { [Symbol.asyncIterator]: () => ({ next }) };
    expect((await search(body, { more: { status: 503 } })).failure).toBeUndefined();
    expect(next).not.toHaveBeenCalled();
  });

  it("ends with the first event, however much is still to come", async () => {
    const answer = await search(waitingAfter(CHUNK));
    const first = await answer.body[Symbol.asyncIterator]().next();
    expect(String(Buffer.from(first.value as Uint8Array))).toBe(CHUNK);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("ends after ten seconds, and passes on what comes later", async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    async function* late(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(": wait\n\n");
      yield Buffer.from(await promise);
    }
    let found: UpstreamAnswer | undefined;
    void search(late()).then((answer) => (found = answer));
    await vi.advanceTimersByTimeAsync(9_999);
    expect(found).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(found).toMatchObject({ failure: undefined });
    resolve(CHAT_ERROR);
    expect(found && (await textOf(found))).toBe(`: wait\n\n${CHAT_ERROR}`);
  });

  it.each([
    ["an event", "data: "],
    ["comments", ": wait\n\n".repeat(10)],
  ])("holds back 64 KiB of %s and no more", async (_, part) => {
    let read = 0;
    async function* large(): AsyncGenerator<Uint8Array> {
      while (read < 200 * 1024) {
        const piece = Buffer.from(part.repeat(100));
        read += piece.length;
        yield piece;
      }
    }
    const answer = await search(large());
    expect(answer.failure).toBeUndefined();
    expect(read).toBeGreaterThan(60 * 1024);
    expect(read).toBeLessThan(80 * 1024);
  });

  it("does not parse an event that is larger than that", async () => {
    const text = data({ error: { code: 500, message: "x".repeat(70_000) } });
    const answer = await search([text]);
    expect(answer.failure).toBeUndefined();
    expect(await textOf(answer)).toBe(text);
  });

  it("ends when the request is cancelled", async () => {
    const signal = new Cancellation();
    const searching = search(waitingAfter(": wait\n\n"), { signal });
    await vi.advanceTimersByTimeAsync(1);
    signal.abort("client_gone");
    expect((await searching).failure).toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("leaves a fault of the body to its reader", async () => {
    const answer = await search(breakingAfter(": wait\n\n"));
    expect(answer.failure).toBeUndefined();
    await expect(textOf(answer)).rejects.toMatchObject({ kind: "broken" });
  });
});
