import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Answer,
  type FakeProvider,
  sendJson,
  startFakeProvider,
} from "../../services/gateway/test/fake-provider.ts";
import { chatBody, cliJson, failureOf, settledRow } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";

/** Tests of the stock `openai` client through a node, with upstreams that answer, end, fail or are silent in different ways. */

const HEARTBEAT_MS = 200;
const USAGE = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
const HEAD = { id: "c", created: 1, model: "m" };
const event = (chunk: object): string =>
  `data: ${JSON.stringify({ ...HEAD, object: "chat.completion.chunk", ...chunk })}\n\n`;
const piece = (content: string): string => event({ choices: [{ index: 0, delta: { content } }] });
const FINISH = event({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
const USAGE_CHUNK = event({ choices: [], usage: USAGE });
const WORDS = piece("one") + piece(" two") + FINISH + USAGE_CHUNK;
const COMPLETION = {
  ...HEAD,
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", content: "one two" }, finish_reason: "stop" }],
  usage: USAGE,
};

const stream =
  (text: string, type = "text/event-stream"): Answer =>
  (response) =>
    void response.writeHead(200, { "content-type": type }).end(text);
const refusal =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (response) =>
    void response
      .writeHead(status, { "content-type": "application/json", "x-request-id": "up_123", ...headers })
      .end(JSON.stringify(body));

/** Answers of the upstream, keyed by model id. */
const ANSWERS: Readonly<Record<string, Answer>> = {
  "without-done": stream(WORDS),
  "cut-off": (response) => {
    response.writeHead(200, { "content-type": "text/event-stream", "content-length": "100000" }).write(WORDS);
    setTimeout(() => response.destroy(), 50);
  },
  "held-open": (response) =>
    void response.writeHead(200, { "content-type": "text/event-stream" }).write(`${WORDS}data: [DONE]\n\n`),
  "held-open-without-done": (response) =>
    void response.writeHead(200, { "content-type": "text/event-stream" }).write(WORDS),
  "as-text": stream(`\u{FEFF}${WORDS}data: [DONE]\n\n`, "text/plain; charset=utf-8"),
  "as-json": stream(`: thinking\n\n${WORDS}data: [DONE]\n\n`, "application/json"),
  whole: (response) => sendJson(response, 200, COMPLETION),
  streamed: stream(`${WORDS}data: [DONE]\n\n`),
  "error-in-200": (response) =>
    sendJson(response, 200, [{ error: { code: 400, message: "bad role", status: "INVALID_ARGUMENT" } }]),
  "error-event": stream(`: thinking\n\ndata: {"error":{"message":"too long","code":"context_length_exceeded"}}\n\n`),
  "late-error": stream(`${piece("one")}data: {"error":{"message":"out of memory","code":507}}\n\n`),
  fastapi: refusal(422, { detail: [{ loc: ["body", "n"], msg: "too large" }] }),
  quota: refusal(429, {
    error: { message: "You exceeded your current quota", type: "insufficient_quota", code: "insufficient_quota" },
  }),
  overloaded: refusal(
    529,
    { type: "error", error: { type: "overloaded_error", message: "Overloaded" } },
    { "retry-after": "17" },
  ),
  "long-wait": refusal(429, { error: { message: "slow down" } }, { "retry-after": "3600" }),
  thinking: (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    setTimeout(() => response.end(`${WORDS}data: [DONE]\n\n`), 5 * HEARTBEAT_MS);
  },
  "thinking-then-refusing": (response, received) =>
    void setTimeout(
      () => void refusal(400, { error: { message: "no such tool", code: "bad_tool" } })(response, received),
      5 * HEARTBEAT_MS,
    ),
};

let node: TestNode;
let upstream: FakeProvider;
let folder: string;
let client: OpenAI;

beforeAll(async () => {
  upstream = await startFakeProvider((response, received) => {
    const { model } = JSON.parse(received.body) as { model: string };
    return ANSWERS[model]?.(response, received);
  });
  folder = await mkdtemp(join(tmpdir(), "routeplane-answers-test-"));
  const providers = join(folder, "providers.yaml");
  const models = Object.keys(ANSWERS).map(
    (id) => `{id: ${id}, price: {input_usd_per_mtok: 3, output_usd_per_mtok: 5}}`,
  );
  const file = `providers: [{name: local, protocol: openai, base_url: "${upstream.baseUrl}", models: [${models.join(", ")}]}]`;
  await writeFile(providers, file);
  node = await startNode({
    environment: { ROUTEPLANE_PROVIDERS: providers, ROUTEPLANE_HEARTBEAT_MS: String(HEARTBEAT_MS) },
  });
  // With the retries that the stock client makes by default.
  client = new OpenAI({ apiKey: await node.apiKey(), baseURL: `${node.url}/v1` });
}, 120_000);

afterAll(async () => {
  await node?.remove();
  await upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

const sentOf = (model: string) => upstream.requests.filter(({ body }) => body.includes(`"model":"${model}"`)).length;

/** Reads a stream as users of the client do. */
async function readStream(model: string) {
  const { data, request_id: requestId } = await client.chat.completions
    .create({ ...chatBody("x", model, { max_tokens: 10 }), stream: true })
    .withResponse();
  let text = "";
  for await (const chunk of data) text += chunk.choices[0]?.delta.content ?? "";
  return { text, requestId };
}

describe("a stream that is read by the stock client", () => {
  it.each([
    "without-done",
    "cut-off",
    "held-open",
    "held-open-without-done",
    "as-text",
    "as-json",
    "whole",
    "thinking",
  ])("is whole, succeeded and charged its usage: %s", async (model) => {
    const { text, requestId } = await readStream(model);
    expect(text).toBe("one two");
    const row = { status: "succeeded", cost_micro_usd: 5 * 3 + 2 * 5, estimated: false, http_status: 200 };
    expect(await settledRow(node, requestId)).toMatchObject(row);
  });

  it("has its connection to the upstream closed if the upstream keeps it open", async () => {
    await readStream("held-open");
    await eventually(() => upstream.requests.at(-1)?.aborted);
  });

  it("that fails in the middle ends with the upstream's error text", async () => {
    const { data, request_id } = await client.chat.completions
      .create({ ...chatBody("x", "late-error", { max_tokens: 10 }), stream: true })
      .withResponse();
    const read = async (): Promise<void> => {
      for await (const chunk of data) expect(chunk.choices[0]?.delta.content).toBe("one");
    };
    const error = await failureOf(read());
    expect(error).toMatchObject({ code: "507", error: { message: "out of memory" } });
    expect(await settledRow(node, request_id)).toMatchObject({ status: "failed", error_code: "507" });
  });
});

it("a stream that the client did not request reaches it as one answer", async () => {
  const { data, request_id } = await client.chat.completions
    .create(chatBody("x", "streamed", { max_tokens: 10 }))
    .withResponse();
  expect(data.choices[0]?.message.content).toBe("one two");
  expect(data.usage).toMatchObject(USAGE);
  expect(await settledRow(node, request_id)).toMatchObject({ status: "succeeded", cost_micro_usd: 25 });
});

describe("an error of the upstream", () => {
  it.each<[string, boolean, number, string | null, string]>([
    ["error-in-200", false, 400, "400", "bad role"],
    ["error-in-200", true, 400, "400", "bad role"],
    ["error-event", true, 400, "context_length_exceeded", "too long"],
    ["fastapi", false, 422, null, "n: too large"],
    ["quota", true, 502, "upstream_quota_exhausted", "operator"],
    ["long-wait", false, 429, "rate_limit_exceeded", "slow down"],
  ])("is thrown once by the stock client, and costs nothing: %s", async (model, isStream, status, code, words) => {
    const before = sentOf(model);
    const body = chatBody("x", model, { max_tokens: 10 });
    const call = isStream
      ? client.chat.completions.create({ ...body, stream: true })
      : client.chat.completions.create(body);
    const error = await failureOf(call);
    expect(error).toMatchObject({ status, code });
    expect(error.message).toContain(words);
    expect(error.headers?.get("x-should-retry")).toBe("false");
    expect(sentOf(model) - before).toBe(1);
    expect(await settledRow(node, error.requestID)).toMatchObject({
      status: "failed",
      cost_micro_usd: 0,
      http_status: status,
    });
  });

  it("that is overloaded keeps its Retry-After", async () => {
    const response = await fetch(`${node.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${await node.apiKey()}`, "content-type": "application/json" },
      body: JSON.stringify(chatBody("x", "overloaded")),
    });
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "17"]);
    expect(response.headers.get("x-should-retry")).toBeNull();
    expect(await response.json()).toMatchObject({ error: { code: "upstream_overloaded" } });
  });

  it("is in the log and the receipt with the upstream's error text, status and request id", async () => {
    const error = await failureOf(client.chat.completions.create(chatBody("x", "quota", { max_tokens: 10 })));
    await settledRow(node, error.requestID);
    const receipt = await cliJson<object>(node, "cloud", "request", "get", error.requestID ?? "");
    const recorded = {
      upstream_status: 429,
      upstream_request_id: "up_123",
      upstream_error: "You exceeded your current quota (insufficient_quota)",
    };
    expect(JSON.stringify(receipt)).toContain(JSON.stringify(recorded.upstream_error).slice(1, -1));
    expect(JSON.stringify(receipt)).toContain(recorded.upstream_request_id);
    const line = (await node.log("gateway"))
      .split("\n")
      .find((each) => each.includes(error.requestID ?? "-") && each.includes("upstreamError"));
    expect(JSON.parse(line ?? "{}")).toMatchObject({
      upstreamStatus: 429,
      upstreamRequestId: "up_123",
      upstreamError: recorded.upstream_error,
      errorCode: "upstream_quota_exhausted",
    });
  });
});

describe("the silence of an upstream", () => {
  const open = async (model: string) =>
    fetch(`${node.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${await node.apiKey()}`, "content-type": "application/json" },
      body: JSON.stringify({ ...chatBody("x", model, { max_tokens: 10 }), stream: true }),
    });

  it("is filled with heart-beats, whose head keeps proxies from buffering", async () => {
    const response = await open("thinking");
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no",
    });
    expect(await response.text()).toMatch(/^(?:: keep-alive\n\n){2,}data: /);
  });

  it("may end with a refusal, which is then the last event", async () => {
    const response = await open("thinking-then-refusing");
    expect(response.status).toBe(200);
    expect(await response.text()).toMatch(
      /^(?:: keep-alive\n\n)+data: \{"error":\{"message":"no such tool".*"bad_tool"\}\}\n\n$/,
    );
    const { data, request_id } = await client.chat.completions
      .create({ ...chatBody("x", "thinking-then-refusing", { max_tokens: 10 }), stream: true })
      .withResponse();
    const read = async (): Promise<void> => {
      for await (const _ of data) continue;
    };
    expect(await failureOf(read())).toMatchObject({ code: "bad_tool" });
    const row = { status: "failed", cost_micro_usd: 0, http_status: 200, error_code: "bad_tool" };
    expect(await settledRow(node, request_id)).toMatchObject(row);
  });
});
