import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { eventually } from "@routeplane/testing";
import type { OpenAI } from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Answer,
  sendJson,
  startFakeProvider,
  type FakeProvider,
} from "../../services/gateway/test/fake-provider.ts";
import { chatBody, cliJson, failureOf, mintKey, openAiClient, settledRow } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";

/** Tests of the stock `openai` client through a node to the providers of a file, working and faulty ones. */

const PROVIDER_KEY = "sk-provider-secret-000";
/** Bodies of the upstream, JSON or a stream, keyed by model id. */
const BEHAVIOUR: Record<string, Answer> = {
  plain: (response) => sendJson(response, 200, completion({ prompt_tokens: 11, completion_tokens: 7 })),
  "no-usage": (response) => sendJson(response, 200, completion(undefined)),
  rubbish: (response) => void response.writeHead(200, { "content-type": "text/html" }).end("<html>"),
  half(response) {
    response.writeHead(200, { "content-type": "application/json" }).write('{"choices":[');
    setTimeout(() => response.destroy(), 50);
  },
  "hanging-up": (response) => void response.destroy(),
  refused: (response) =>
    sendJson(response, 401, { error: { message: `Incorrect API key provided: ${PROVIDER_KEY}`, type: "x" } }),
  picky: (response) =>
    sendJson(response, 400, {
      error: { message: `too long for ${PROVIDER_KEY}`, type: "t", param: "messages", code: "c" },
    }),
  broken: (response) => sendJson(response, 500, { error: { message: "oops" } }),
  busy: (response) => void response.writeHead(429, { "retry-after": "1" }).end("{}"),
  streaming(response, { body }) {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const word of ["one", " two"]) response.write(event({ choices: [{ index: 0, delta: { content: word } }] }));
    expect(JSON.parse(body)).toMatchObject({ stream_options: { include_usage: true } });
    response.write(event({ choices: [], usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 } }));
    response.end("data: [DONE]\n\n");
  },
  endless(response) {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(event({ choices: [{ index: 0, delta: { content: "word" } }] }));
  },
  dying(response) {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(event({ choices: [{ index: 0, delta: { content: "word" } }] }));
    setTimeout(() => response.destroy(), 50);
  },
};

/** Answers that repeat the key that was sent to the upstream, keyed by model id. */
const LEAKS: Record<string, Answer> = {
  "leak-cut": (response, { headers }) =>
    sendJson(response, 400, { error: { message: `${"x".repeat(1_985)}${headers.authorization}`, type: "t" } }),
  "leak-code": (response, { headers }) =>
    sendJson(response, 422, {
      error: { message: "m", type: "t", code: `bad ${headers.authorization}`, param: PROVIDER_KEY },
    }),
  "leak-header": (response) => void response.writeHead(429, { "retry-after": `1 (${PROVIDER_KEY})` }).end("{}"),
  "leak-escaped": (response) =>
    sendJson(response, 404, `{"error":{"message":"no ${PROVIDER_KEY.replaceAll("-", "\\u002d")}"}}`),
  "leak-whole": (response, { headers }) => {
    const answer = { ...completion({ prompt_tokens: 1, completion_tokens: 1 }), debug: { headers } };
    sendJson(response, 200, answer);
  },
  async "leak-stream"(response) {
    const bytes = Buffer.from(event({ choices: [{ index: 0, delta: { content: `I am ${PROVIDER_KEY}!` } }] }));
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const byte of bytes) {
      response.write(Buffer.from([byte]));
      await setImmediate();
    }
    response.end(`: ${PROVIDER_KEY}\n\ndata: ${JSON.stringify({ error: { message: `no ${PROVIDER_KEY}` } })}\n\n`);
  },
};

let node: TestNode;
let upstream: FakeProvider;
let folder: string;
let root: OpenAI;

beforeAll(async () => {
  upstream = await startFakeProvider((response, received) => {
    const { model } = JSON.parse(received.body) as { model: string };
    return (BEHAVIOUR[model] ?? LEAKS[model])?.(response, received);
  });
  folder = await mkdtemp(join(tmpdir(), "routeplane-gateway-test-"));
  const providers = join(folder, "providers.yaml");
  await writeFile(providers, providersFile(upstream.baseUrl));
  const environment = { ROUTEPLANE_PROVIDERS: providers, TEST_PROVIDER_KEY: PROVIDER_KEY };
  node = await startNode({ environment });
  root = openAiClient(node, await node.apiKey());
}, 120_000);

afterAll(async () => {
  await node?.remove();
  await upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

function providersFile(baseUrl: string): string {
  const price = "price: {input_usd_per_mtok: 3, output_usd_per_mtok: 5}";
  const models = Object.keys({ ...BEHAVIOUR, ...LEAKS }).map((id) => `      - {id: ${id}, ${price}}`);
  return [
    "providers:",
    "  - name: local",
    "    protocol: openai",
    `    base_url: ${baseUrl}`,
    "    api_key_env: TEST_PROVIDER_KEY",
    "    models:",
    ...models,
    "  - name: gone",
    "    protocol: openai",
    "    base_url: http://127.0.0.1:9/v1",
    "    models: [{id: unreachable}]",
  ].join("\n");
}

function completion(usage: object | undefined): object {
  const message = { role: "assistant", content: "fine" };
  return { id: "c", object: "chat.completion", choices: [{ index: 0, message, finish_reason: "stop" }], usage };
}

function event(chunk: object): string {
  return `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", ...chunk })}\n\n`;
}

describe("a provider's key in the answer of the upstream", () => {
  it.each(Object.keys(LEAKS))("reaches neither the client nor the request log, even in part: %s", async (model) => {
    const token = (await mintKey(node, model)).token;
    const response = await fetch(`${node.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ ...chatBody("hello", model), stream: model === "leak-stream" }),
    });
    const answerText = `${JSON.stringify([...response.headers])} ${await response.text()}`;
    const row = await settledRow(node, response.headers.get("x-request-id"));
    const receipt = await cliJson(node, "cloud", "request", "get", row.id);
    for (const text of [answerText, JSON.stringify(row), JSON.stringify(receipt)]) {
      expect(text).not.toMatch(/provider.?secret/i);
      expect(text).not.toContain("sk-p");
    }
    expect(response.headers.get("retry-after")).toBeNull();
  });
});

describe("requests with one Idempotency-Key", () => {
  const sentOf = (marker: string) => upstream.requests.filter(({ body }) => body.includes(marker)).length;
  const options = (key: string) => ({ headers: { "Idempotency-Key": key } });

  it("reach the upstream once, whether concurrent or later, and the refused ones name the one that did", async () => {
    const sent = () =>
      root.chat.completions
        .create(chatBody("order 17", "plain"), { ...options("order-17"), maxRetries: 2 })
        .withResponse();
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, sent));
    const [winner, ...others] = outcomes.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    expect([winner?.data.choices[0]?.message.content, others]).toEqual(["fine", []]);
    const late = await failureOf(sent());
    const refused = outcomes.flatMap((each) => (each.status === "rejected" ? [each.reason as unknown] : []));
    for (const error of [...refused, late]) {
      expect(error).toMatchObject({ status: 409, code: "idempotency_key_used" });
      expect(error).toMatchObject({ error: { request_id: winner?.request_id } });
    }
    expect(late.headers?.get("x-should-retry")).toBe("false");
    expect(sentOf("order 17")).toBe(1);
    expect(await settledRow(node, winner?.request_id)).toMatchObject({ status: "succeeded" });
  });

  it("are independent under another key of the same namespace", async () => {
    const other = openAiClient(node, (await mintKey(node, "other")).token);
    for (const client of [root, other])
      await client.chat.completions.create(chatBody("order 18", "plain"), options("order-18"));
    expect(sentOf("order 18")).toBe(2);
  });

  it("may follow one that was not charged", async () => {
    const sent = () => failureOf(root.chat.completions.create(chatBody("order 19", "broken"), options("order-19")));
    expect(await sent()).toMatchObject({ status: 502 });
    // The charge is released a moment after the client is answered.
    await eventually(async () => (await sent()).status === 502);
    expect(sentOf("order 19")).toBeGreaterThan(1);
  });

  it("are refused with 400 if it is empty or longer than 255 characters", async () => {
    for (const key of ["x".repeat(256), ""]) {
      const error = await failureOf(root.chat.completions.create(chatBody("order 20", "plain"), options(key)));
      expect(error).toMatchObject({ status: 400, code: "invalid_value", param: "Idempotency-Key" });
    }
    await root.chat.completions.create(chatBody("order 20", "plain"), options("x".repeat(255)));
    expect(sentOf("order 20")).toBe(1);
  });
});

describe("an upstream of the providers file", () => {
  it("gets the operator's key and no header of the client, and is charged at the price of the file", async () => {
    const { data, request_id } = await root.chat.completions.create(chatBody("x", "local/plain")).withResponse();
    expect(data.choices[0]?.message.content).toBe("fine");
    const received = upstream.requests.at(-1);
    expect(received?.headers.authorization).toBe(`Bearer ${PROVIDER_KEY}`);
    expect(Object.keys(received?.headers ?? {}).filter((name) => name.startsWith("x-"))).toEqual([]);
    expect(JSON.parse(received?.body ?? "")).toMatchObject({ model: "plain", max_tokens: 4096 });
    expect(await settledRow(node, request_id)).toMatchObject({
      provider: "local",
      model: "plain",
      cost_micro_usd: 11 * 3 + 7 * 5,
    });
  });

  it("streams, and is charged by the usage chunk that the client does not get", async () => {
    const { data, request_id } = await root.chat.completions
      .create({ ...chatBody("x", "streaming"), stream: true })
      .withResponse();
    let text = "";
    for await (const chunk of data) {
      text += chunk.choices[0]?.delta.content ?? "";
      expect(chunk.usage).toBeUndefined();
    }
    expect(text).toBe("one two");
    const row = { status: "succeeded", streamed: true, prompt_tokens: 5, completion_tokens: 2, cost_micro_usd: 25 };
    expect(await settledRow(node, request_id)).toMatchObject(row);
  });

  it.each([
    ["rubbish", "upstream_invalid_response"],
    ["half", "upstream_error"],
    ["hanging-up", "upstream_error"],
  ])("that is %s causes 502 %s and is charged the reservation, because it may have worked", async (model, code) => {
    const error = await failureOf(root.chat.completions.create(chatBody("x", model, { max_tokens: 10 })));
    expect(error).toMatchObject({ status: 502, code });
    const row = await settledRow(node, error.requestID);
    expect(row).toMatchObject({ status: "failed", completion_tokens: 10, estimated: true });
    expect(row.cost_micro_usd).toBe(row.reserved_micro_usd);
    expect(row.cost_micro_usd).toBe(row.prompt_tokens * 3 + 10 * 5);
  });

  it.each([
    ["refused", 502, "upstream_error"],
    ["broken", 502, "upstream_error"],
    ["busy", 429, "rate_limit_exceeded"],
    ["picky", 400, "c"],
    ["unreachable", 502, "upstream_unreachable"],
  ])("that is %s causes %i %s, is not charged and reveals no key", async (model, status, code) => {
    const error = await failureOf(root.chat.completions.create(chatBody("x", model)));
    expect(error).toMatchObject({ status, code });
    expect(JSON.stringify(error.error)).not.toContain(PROVIDER_KEY);
    expect(await settledRow(node, error.requestID)).toMatchObject({ status: "failed", cost_micro_usd: 0 });
  });

  it("that reports no usage is charged an estimate", async () => {
    const { request_id } = await root.chat.completions
      .create(chatBody("x", "no-usage", { max_tokens: 10 }))
      .withResponse();
    const row = await settledRow(node, request_id);
    expect(row).toMatchObject({ status: "succeeded", estimated: true });
    expect(row.completion_tokens).toBeGreaterThan(0);
    expect(row.cost_micro_usd).toBe(row.prompt_tokens * 3 + row.completion_tokens * 5);
    expect(row.cost_micro_usd).toBeLessThanOrEqual(row.reserved_micro_usd);
  });

  it("is cancelled when the client hangs up in the middle, and charged for what it may have generated by then", async () => {
    const { data, request_id } = await root.chat.completions
      .create({ ...chatBody("x", "endless", { max_tokens: 10 }), stream: true })
      .withResponse();
    for await (const chunk of data) {
      expect(chunk.choices[0]?.delta.content).toBe("word");
      break;
    }
    await eventually(() => upstream.requests.at(-1)?.aborted);
    const row = await settledRow(node, request_id);
    expect(row).toMatchObject({ status: "cancelled", completion_tokens: 10 });
    expect(row.cost_micro_usd).toBeGreaterThan(50);
  });

  it("that dies in the middle of a stream ends it with an error, and is charged the reservation", async () => {
    const { data, request_id } = await root.chat.completions
      .create({ ...chatBody("x", "dying", { max_tokens: 10 }), stream: true })
      .withResponse();
    const read = async (): Promise<void> => {
      for await (const chunk of data) expect(chunk.choices[0]?.delta.content).toBe("word");
    };
    expect(await failureOf(read())).toMatchObject({ code: "upstream_error" });
    expect(await settledRow(node, request_id)).toMatchObject({ status: "failed", completion_tokens: 10 });
  });

  it("has neither its key nor any other credential in a log", async () => {
    const logs = await Promise.all(["gateway", "auth", "policy", "usage", "aggregator"].map((role) => node.log(role)));
    const token = await node.apiKey();
    for (const log of logs) {
      expect(log).not.toContain(PROVIDER_KEY);
      expect(log).not.toContain(token);
      expect(log).not.toMatch(/rps_[0-9A-Za-z]{20}/);
    }
  });
});
