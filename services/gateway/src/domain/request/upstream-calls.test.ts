import { describe, expect, it } from "vitest";
import { fakeReply } from "../../../test/fake-reply.ts";
import { type PipelineUnderTest, pipelineUnderTest } from "../../../test/pipeline-under-test.ts";
import type { Upstream, UpstreamAnswer } from "../ports/upstream.ts";
import { MESSAGES } from "../wires/messages/messages-wire.ts";
import { boundTokens } from "./token-bounds.ts";

const TURNS = [{ role: "user", content: "hi" }];
const USAGE = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
const WHOLE = JSON.stringify({
  choices: [{ index: 0, message: { content: "x" }, finish_reason: "stop" }],
  usage: USAGE,
});
const CHUNK = { choices: [{ index: 0, delta: { content: "x" }, finish_reason: "stop" }] };
const STREAM = `data: ${JSON.stringify(CHUNK)}\n\ndata: ${JSON.stringify({ choices: [], usage: USAGE })}\n\ndata: [DONE]\n\n`;

type Body = Readonly<Record<string, unknown>>;

/** Upstream that refuses bodies with the text that `refusalOf` returns, with HTTP status 400, and answers others. */
function refusing(refusalOf: (body: Body) => string | undefined, status = 400): Upstream {
  return {
    boundTokens,
    async send({ body, streamed }): Promise<UpstreamAnswer> {
      const refusal = refusalOf(JSON.parse(String(body)) as Body);
      const text = refusal ?? (streamed ? STREAM : WHOLE);
      const contentType = refusal === undefined && streamed ? "text/event-stream" : "application/json";
      async function* bytes(): AsyncGenerator<Uint8Array> {
        yield Buffer.from(text);
      }
      const head = { retryAfter: undefined, requestId: undefined, discard() {} };
      return { status: refusal === undefined ? 200 : status, contentType, ...head, body: bytes() };
    },
    async close() {},
  };
}

const messageOf = (message: string): string => JSON.stringify({ error: { message, type: "invalid_request_error" } });
const unsupported = (name: string): string =>
  messageOf(`Unsupported parameter: '${name}' is not supported with this model.`);

/** Sends bodies one after another. @returns the errors, and the members of every body that went upstream */
async function sendAll(upstream: Upstream, ...bodies: Body[]) {
  return sendThrough(pipelineUnderTest({ upstream }), bodies);
}

async function sendThrough({ serve, sent, usage, budget }: PipelineUnderTest, bodies: readonly Body[]) {
  const refusals: (string | undefined)[] = [];
  for (const body of bodies) {
    refusals.push((await serve({ model: "echo", messages: TURNS, ...body }, fakeReply())).refusal?.message);
  }
  const bound = (text: string) => {
    const { max_tokens, max_completion_tokens, stream_options } = JSON.parse(text) as Body;
    return { max_tokens, max_completion_tokens, stream_options };
  };
  return { refusals, sent: sent.map(bound), usage, budget };
}

const ASKED = { include_usage: true };

describe("an upstream that refuses a member that the gateway added", () => {
  it.each<[string, number, string]>([
    ["OpenAI", 400, unsupported("max_tokens")],
    [
      "FastAPI",
      422,
      JSON.stringify({ detail: [{ type: "extra_forbidden", loc: ["body", "max_tokens"], msg: "Extra" }] }),
    ],
    ["a parameter alone", 400, JSON.stringify({ error: { message: "bad request", param: "max_tokens" } })],
    ["plain text", 400, "unknown field maxTokens"],
  ])("gets the output bound under its other name, once asked in vain: %s", async (_, status, refusal) => {
    const upstream = refusing(({ max_tokens }) => (max_tokens === undefined ? undefined : refusal), status);
    const { refusals, sent, usage, budget } = await sendAll(upstream, {}, {});
    expect(refusals).toEqual([undefined, undefined]);
    expect(sent).toEqual([{ max_tokens: 4096 }, { max_completion_tokens: 4096 }, { max_completion_tokens: 4096 }]);
    expect(usage.settlements).toMatchObject([{ outcome: "succeeded" }, { outcome: "succeeded" }]);
    expect(budget.spentNano).toBe(2n * 3_000n);
  });

  it("gets no stream options that the client did not send", async () => {
    const upstream = refusing(({ stream_options }) =>
      stream_options === undefined ? undefined : unsupported("stream_options"),
    );
    const { refusals, sent } = await sendAll(
      upstream,
      { stream: true, max_tokens: 5 },
      { stream: true, max_tokens: 5 },
    );
    expect(refusals).toEqual([undefined, undefined]);
    expect(sent).toEqual([{ max_tokens: 5, stream_options: ASKED }, { max_tokens: 5 }, { max_tokens: 5 }]);
  });

  it("gets the client's own stream options as they were", async () => {
    const own = { chunk_size: 3 };
    const upstream = refusing(({ stream_options }) =>
      JSON.stringify(stream_options ?? null).includes("usage") ? messageOf("unknown: include_usage") : undefined,
    );
    const { sent } = await sendAll(upstream, { stream: true, max_tokens: 5, stream_options: own });
    expect(sent.map(({ stream_options }) => stream_options)).toEqual([{ ...own, ...ASKED }, own]);
  });

  it("gets neither of two that it refuses at once", async () => {
    const upstream = refusing(({ stream_options, max_tokens }) =>
      stream_options === undefined && max_tokens === undefined
        ? undefined
        : messageOf("extra: max_tokens, stream_options"),
    );
    const { refusals, sent } = await sendAll(upstream, { stream: true });
    expect(refusals).toEqual([undefined]);
    expect(sent).toEqual([{ max_tokens: 4096, stream_options: ASKED }, { max_completion_tokens: 4096 }]);
  });

  it("is never sent again the first of two members that it refuses one after the other", async () => {
    const upstream = refusing(({ stream_options, max_tokens }) => {
      if (stream_options !== undefined) return unsupported("stream_options");
      return max_tokens === undefined ? undefined : unsupported("max_tokens");
    });
    const { refusals, sent } = await sendAll(upstream, { stream: true }, { stream: true }, { stream: true });
    expect(refusals).toEqual([expect.stringContaining("max_tokens"), undefined, undefined]);
    expect(sent).toEqual([
      { max_tokens: 4096, stream_options: ASKED },
      { max_tokens: 4096 },
      { max_tokens: 4096 },
      { max_completion_tokens: 4096 },
      { max_completion_tokens: 4096 },
    ]);
  });

  it("then gets a client's output bound under the name that it takes", async () => {
    const upstream = refusing(({ max_tokens }) => (max_tokens === undefined ? undefined : unsupported("max_tokens")));
    const { refusals, sent } = await sendAll(upstream, {}, { max_tokens: 7 });
    expect(refusals).toEqual([undefined, undefined]);
    expect(sent.at(-1)).toEqual({ max_completion_tokens: 7 });
  });
});

describe("a translated request", () => {
  const sendTranslated = (upstream: Upstream, ...bodies: Body[]) =>
    sendThrough(pipelineUnderTest({ upstream, wire: MESSAGES, wires: new Set(["chat"]) }), bodies);
  const OWN = { max_tokens: 5 };

  it("gets its output bound under the other name once its upstream has refused the first one", async () => {
    const upstream = refusing(({ max_tokens }) => (max_tokens === undefined ? undefined : unsupported("max_tokens")));
    const { refusals, sent, usage } = await sendTranslated(upstream, OWN, OWN);
    expect(refusals).toEqual([undefined, undefined]);
    expect(sent).toEqual([{ max_tokens: 5 }, { max_completion_tokens: 5 }, { max_completion_tokens: 5 }]);
    expect(usage.settlements).toMatchObject([{ promptTokens: 1, estimated: false }, { outcome: "succeeded" }]);
  });

  it("asks for no usage of its stream once its upstream has refused that", async () => {
    const upstream = refusing(({ stream_options }) =>
      stream_options === undefined ? undefined : unsupported("stream_options"),
    );
    const { refusals, sent } = await sendTranslated(upstream, { ...OWN, stream: true }, { ...OWN, stream: true });
    expect(refusals).toEqual([undefined, undefined]);
    expect(sent).toEqual([{ max_tokens: 5, stream_options: ASKED }, { max_tokens: 5 }, { max_tokens: 5 }]);
  });

  it("is sent once where the value of its output bound is refused", async () => {
    const message = messageOf("max_tokens is too large: 5. It must be at most 4.");
    const { refusals, sent } = await sendTranslated(
      refusing(() => message),
      OWN,
    );
    expect(refusals).toEqual([expect.stringContaining("too large")]);
    expect(sent).toHaveLength(1);
  });
});

describe("a request is sent once", () => {
  it.each<[string, Body, string, number]>([
    ["where the client sent the member itself", { max_tokens: 5 }, unsupported("max_tokens"), 400],
    [
      "where the client asked for usage itself",
      { max_tokens: 5, stream: true, stream_options: ASKED },
      unsupported("stream_options"),
      400,
    ],
    ["where another member is refused", {}, unsupported("temperature"), 400],
    ["where a longer name is refused", {}, unsupported("max_tokens_to_sample"), 400],
    ["where the value is refused", {}, messageOf("max_tokens is too large: 4096. It must be at most 2048."), 400],
    ["where the upstream may have worked", {}, unsupported("max_tokens"), 500],
    ["where the upstream has too much to do", {}, unsupported("max_tokens"), 429],
  ])("%s", async (_, body, refusal, status) => {
    const { sent, refusals } = await sendAll(
      refusing(() => refusal, status),
      body,
    );
    expect(sent).toHaveLength(1);
    expect(refusals).not.toEqual([undefined]);
  });
});

it("an output bound that is refused under both names leaves the error to the client, and nothing is learnt", async () => {
  const upstream = refusing(({ max_tokens }) =>
    unsupported(max_tokens === undefined ? "max_completion_tokens" : "max_tokens"),
  );
  const { sent, refusals, usage, budget } = await sendAll(upstream, {}, {});
  const both = [{ max_tokens: 4096 }, { max_completion_tokens: 4096 }];
  expect(sent).toEqual([...both, ...both]);
  expect(refusals).toEqual(Array.from({ length: 2 }, () => expect.stringContaining("max_completion_tokens") as string));
  expect(usage.settlements).toMatchObject([{ outcome: "failed", costNanoUsd: 0n }, { outcome: "failed" }]);
  expect(budget.spentNano).toBe(0n);
});

it("a refusal that repeats what the client wrote is not remembered", async () => {
  const upstream = refusing((body) =>
    body["x"] === undefined ? undefined : messageOf(`unknown: ${JSON.stringify(body)}`),
  );
  const { sent } = await sendAll(upstream, { x: 1 }, {});
  expect(sent.at(-1)).toEqual({ max_tokens: 4096 });
});
