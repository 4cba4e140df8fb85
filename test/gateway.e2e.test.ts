import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import OpenAI, { APIError } from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, sendJson, startUpstream, type UpstreamServer } from "../services/gateway/test/upstream-server.ts";
import { startNode, type TestNode } from "./harness/index.ts";

/** The stock `openai` client against a whole node, with `echo` and with providers of a providers file. */

const PROVIDER_KEY = "sk-provider-secret-000";
/** Bytes of JSON or of a stream, chosen by the model's id. */
const BEHAVIOUR: Record<string, Answer> = {
  plain: (response) => sendJson(response, 200, completion({ prompt_tokens: 11, completion_tokens: 7 })),
  "no-usage": (response) => sendJson(response, 200, completion(undefined)),
  rubbish: (response) => void response.writeHead(200, { "content-type": "text/html" }).end("<html>"),
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

interface Row {
  readonly id: string;
  readonly key_id: string;
  readonly status: string;
  readonly model: string;
  readonly provider: string;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly cost_micro_usd: number;
  readonly streamed: boolean;
}
interface Usage {
  readonly request_count: number;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly spend_micro_usd: number;
}

let node: TestNode;
let upstream: UpstreamServer;
let folder: string;
let root: OpenAI;

beforeAll(async () => {
  upstream = await startUpstream((response, received) => {
    const { model } = JSON.parse(received.body) as { model: string };
    return BEHAVIOUR[model]?.(response, received);
  });
  folder = await mkdtemp(join(tmpdir(), "routeplane-gateway-test-"));
  const providers = join(folder, "providers.yaml");
  await writeFile(providers, providersFile(upstream.baseUrl));
  const environment = { ROUTEPLANE_PROVIDERS: providers, TEST_PROVIDER_KEY: PROVIDER_KEY };
  node = await startNode({ environment });
  root = client(await node.apiKey());
}, 120_000);

afterAll(async () => {
  await node?.remove();
  await upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

function providersFile(baseUrl: string): string {
  const price = "price: {input_usd_per_mtok: 3, output_usd_per_mtok: 5}";
  const models = Object.keys(BEHAVIOUR).map((id) => `      - {id: ${id}, ${price}}`);
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

function client(apiKey: string): OpenAI {
  return new OpenAI({ apiKey, baseURL: `${node.url}/v1`, maxRetries: 0 });
}

const ask = (content: string, model = "echo", more: object = {}) => ({
  model,
  messages: [{ role: "user" as const, content }],
  ...more,
});

async function cliJson<T>(...args: string[]): Promise<T> {
  const { exitCode, stdout, stderr } = await node.cli([...args, "--json"]);
  if (exitCode !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as T;
}

const mint = (name: string, scopes = "inference:invoke") =>
  cliJson<{ id: string; token: string }>("cloud", "keys", "mint", "--name", name, "--scope", scopes);

/** The settled row of a request in the request log. */
function settled(requestId: string | null | undefined, timeoutMs = 5_000): Promise<Row> {
  return eventually(async () => {
    const { data } = await cliJson<{ data: Row[] }>("cloud", "requests", "--limit", "25");
    return data.find(({ id, status }) => id === requestId && status !== "pending");
  }, timeoutMs);
}

async function failureOf(call: Promise<unknown>): Promise<APIError> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof APIError)) throw new Error(`no API error but ${String(error)}`);
  return error;
}

describe("the stock openai client", () => {
  it("completes, and the request is in usage and the request log with tokens, key and cost", async () => {
    const key = await mint("completes");
    const before = await cliJson<Usage>("cloud", "usage");
    const { data, response, request_id } = await client(key.token)
      .chat.completions.create(ask("one two three"))
      .withResponse();
    expect(data.choices[0]?.message.content).toBe("one two three");
    expect(data.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 3 });
    expect(request_id).toMatch(/^req_[0-9a-z]{26}$/);
    expect(response.headers.get("x-request-id")).toBe(request_id);
    const row = await settled(request_id);
    expect(row).toMatchObject({
      key_id: key.id,
      status: "succeeded",
      model: "echo",
      provider: "echo",
      prompt_tokens: 3,
      completion_tokens: 3,
      cost_micro_usd: 9,
      streamed: false,
    });
    const after = await cliJson<Usage>("cloud", "usage");
    expect(after.request_count).toBe(before.request_count + 1);
    expect(after.spend_micro_usd).toBe(before.spend_micro_usd + 9);
  });

  it("is in the request log within a second", async () => {
    const headers = { authorization: `Bearer ${await node.apiKey()}`, "content-type": "application/json" };
    const address = `${node.url}/routeplane.usage.v1.UsageService/ListRequests`;
    const secondsUntilVisible = async (): Promise<number> => {
      const { request_id } = await root.chat.completions.create(ask("x")).withResponse();
      const answered = performance.now();
      await eventually(async () => {
        const response = await fetch(address, { method: "POST", headers, body: JSON.stringify({ pageSize: 5 }) });
        const { requests } = (await response.json()) as { requests: { id: string; costMicroUsd: string }[] };
        return requests.some(({ id, costMicroUsd }) => id === request_id && costMicroUsd === "3");
      });
      return (performance.now() - answered) / 1_000;
    };
    // The best of three: a machine that is busy with something else proves nothing.
    const seconds = [await secondsUntilVisible(), await secondsUntilVisible(), await secondsUntilVisible()];
    expect(Math.min(...seconds)).toBeLessThan(1);
  });

  it("streams, and gets a usage chunk only if it asks for one", async () => {
    const seen = async (more: object): Promise<{ text: string; usages: number }> => {
      const stream = await root.chat.completions.create({ ...ask("one two"), stream: true, ...more });
      let text = "";
      let usages = 0;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
        usages += chunk.usage ? 1 : 0;
      }
      return { text, usages };
    };
    expect(await seen({})).toEqual({ text: "one two", usages: 0 });
    expect(await seen({ stream_options: { include_usage: true } })).toEqual({ text: "one two", usages: 1 });
  });

  it("lists the models and reads one of them", async () => {
    const ids = (await root.models.list()).data.map(({ id }) => id);
    expect(ids).toEqual([...Object.keys(BEHAVIOUR), "unreachable", "echo"]);
    expect(await root.models.retrieve("echo")).toMatchObject({ id: "echo", object: "model", owned_by: "echo" });
    expect((await failureOf(root.models.retrieve("nothing"))).code).toBe("model_not_found");
  });

  it("gets an output bound honoured, and n choices", async () => {
    const { choices } = await root.chat.completions.create(
      ask("one two three", " Echo/ECHO ", { max_tokens: 2, n: 2 }),
    );
    expect(choices.map(({ message, finish_reason }) => [message.content, finish_reason])).toEqual([
      ["one two", "length"],
      ["one two", "length"],
    ]);
  });
});

describe("refusals, in OpenAI's words", () => {
  it.each([
    ["a garbled key", "rp_live_garbled"],
    ["no key of ours", "sk-abc"],
    ["a service's credential", "rps_0000000000000000000000000000000000000000000"],
  ])("401 for %s", async (_, token) => {
    const error = await failureOf(client(token).chat.completions.create(ask("x")));
    expect(error).toMatchObject({ status: 401, code: "invalid_api_key" });
    expect(error.message).not.toContain(token);
    expect(error.headers?.get("x-should-retry")).toBe("false");
  });

  it("401 for a revoked key, and for two different keys in one request", async () => {
    const key = await mint("revoked");
    await cliJson("cloud", "keys", "revoke", key.id);
    expect(await failureOf(client(key.token).chat.completions.create(ask("x")))).toMatchObject({ status: 401 });
    const headers = { "x-api-key": key.token };
    expect(await failureOf(root.chat.completions.create(ask("x"), { headers }))).toMatchObject({ status: 401 });
  });

  it("403 for a key without the scope and for an operator credential, naming the scope", async () => {
    const { token } = await mint("reader", "usage:read");
    for (const credential of [token, await node.operatorKey()]) {
      const error = await failureOf(client(credential).chat.completions.create(ask("x")));
      expect(error).toMatchObject({ status: 403, code: "insufficient_scope" });
      expect(error.message).toContain("inference:invoke");
      expect(await failureOf(client(credential).models.list().asResponse())).toMatchObject({ status: 403 });
    }
  });

  it("404 for an unknown model and for an unknown route, 405 for a wrong method", async () => {
    const error = await failureOf(root.chat.completions.create(ask("x", "nothing")));
    expect(error).toMatchObject({ status: 404, code: "model_not_found", param: "model" });
    expect(await failureOf(root.embeddings.create({ model: "echo", input: "x" }))).toMatchObject({ status: 404 });
    const wrong = await fetch(`${node.url}/v1/chat/completions`);
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST, OPTIONS"]);
  });

  it("400 for a body that is not JSON and for a bad field, 413 for a body that is too large", async () => {
    const send = async (body: string) => {
      const headers = { authorization: `Bearer ${await node.apiKey()}`, "content-type": "application/json" };
      const response = await fetch(`${node.url}/v1/chat/completions`, { method: "POST", headers, body });
      return { status: response.status, body: (await response.json()) as { error: { param: string } } };
    };
    expect((await send("{")).status).toBe(400);
    const bad = await send(JSON.stringify(ask("x", "echo", { max_tokens: -1 })));
    expect([bad.status, bad.body.error.param]).toEqual([400, "max_tokens"]);
    expect((await send(JSON.stringify(ask("x".repeat(11 * 1024 ** 2))))).status).toBe(413);
  });

  it("402 for what does not fit into a budget, naming the policy, and the denial is in the log and costs nothing", async () => {
    const key = await mint("capped");
    const limit = ["--window", "day", "--limit-micro-usd", "50"];
    const policy = await cliJson<{ id: string }>("cloud", "budget", "create", "--name", "tiny", ...limit);
    const principal = ["--principal-type", "api_key", "--principal-id", key.id];
    const binding = await cliJson<{ id: string }>("cloud", "policy", "bind", policy.id, ...principal);
    const error = await failureOf(client(key.token).chat.completions.create(ask("x")));
    expect(error).toMatchObject({ status: 402, code: "budget_exceeded" });
    expect(error.error).toMatchObject({
      policy_id: policy.id,
      binding_id: binding.id,
      principal_type: "api_key",
      principal_id: key.id,
    });
    expect(error.headers?.get("x-should-retry")).toBe("false");
    expect(await settled(error.requestID)).toMatchObject({ status: "denied", key_id: key.id, cost_micro_usd: 0 });
  });
});

describe("an upstream of the providers file", () => {
  it("gets the operator's key and no header of the client's, and is charged at the file's price", async () => {
    const { data, request_id } = await root.chat.completions.create(ask("x", "local/plain")).withResponse();
    expect(data.choices[0]?.message.content).toBe("fine");
    const received = upstream.requests.at(-1);
    expect(received?.headers.authorization).toBe(`Bearer ${PROVIDER_KEY}`);
    expect(Object.keys(received?.headers ?? {}).filter((name) => name.startsWith("x-"))).toEqual([]);
    expect(JSON.parse(received?.body ?? "")).toMatchObject({ model: "plain", max_tokens: 4096 });
    expect(await settled(request_id)).toMatchObject({
      provider: "local",
      model: "plain",
      cost_micro_usd: 11 * 3 + 7 * 5,
    });
  });

  it("streams, and is charged by the chunk that the client does not see", async () => {
    const { data, request_id } = await root.chat.completions
      .create({ ...ask("x", "streaming"), stream: true })
      .withResponse();
    let text = "";
    for await (const chunk of data) {
      text += chunk.choices[0]?.delta.content ?? "";
      expect(chunk.usage).toBeUndefined();
    }
    expect(text).toBe("one two");
    const row = { status: "succeeded", streamed: true, prompt_tokens: 5, completion_tokens: 2, cost_micro_usd: 25 };
    expect(await settled(request_id)).toMatchObject(row);
  });

  it.each([
    ["rubbish", 502, "upstream_invalid_response"],
    ["refused", 502, "upstream_error"],
    ["broken", 502, "upstream_error"],
    ["busy", 429, "rate_limit_exceeded"],
    ["picky", 400, "c"],
    ["unreachable", 502, "upstream_unreachable"],
  ])("that is %s makes %i %s, costs nothing and shows no key", async (model, status, code) => {
    const error = await failureOf(root.chat.completions.create(ask("x", model)));
    expect(error).toMatchObject({ status, code });
    expect(JSON.stringify(error.error)).not.toContain(PROVIDER_KEY);
    expect(await settled(error.requestID)).toMatchObject({ status: "failed", cost_micro_usd: 0 });
  });

  it("that reports no usage is charged its reservation", async () => {
    const { request_id } = await root.chat.completions.create(ask("x", "no-usage", { max_tokens: 10 })).withResponse();
    const row = await settled(request_id);
    expect(row).toMatchObject({ status: "succeeded", completion_tokens: 10 });
    expect(row.cost_micro_usd).toBe(row.prompt_tokens * 3 + 10 * 5);
  });

  it("is cut when the client goes away in the middle, and charged its reservation", async () => {
    const { data, request_id } = await root.chat.completions
      .create({ ...ask("x", "endless", { max_tokens: 10 }), stream: true })
      .withResponse();
    for await (const chunk of data) {
      expect(chunk.choices[0]?.delta.content).toBe("word");
      break;
    }
    await eventually(() => upstream.requests.at(-1)?.aborted);
    const row = await settled(request_id);
    expect(row).toMatchObject({ status: "cancelled", completion_tokens: 10 });
    expect(row.cost_micro_usd).toBeGreaterThan(50);
  });

  it("that dies in the middle of a stream ends it with an error and is charged its reservation", async () => {
    const { data, request_id } = await root.chat.completions
      .create({ ...ask("x", "dying", { max_tokens: 10 }), stream: true })
      .withResponse();
    const read = async (): Promise<void> => {
      for await (const chunk of data) expect(chunk.choices[0]?.delta.content).toBe("word");
    };
    expect(await failureOf(read())).toMatchObject({ code: "upstream_error" });
    expect(await settled(request_id)).toMatchObject({ status: "failed", completion_tokens: 10 });
  });
});

describe("the node around it", () => {
  it("has no credential in any log", async () => {
    const logs = await Promise.all(["gateway", "auth", "policy", "usage", "aggregator"].map((role) => node.log(role)));
    const token = await node.apiKey();
    for (const log of logs) {
      expect(log).not.toContain(PROVIDER_KEY);
      expect(log).not.toContain(token);
      expect(log).not.toMatch(/rps_[0-9A-Za-z]{20}/);
    }
  });

  it("refuses within 3 s while policy is away, names it, and serves again when it is back", async () => {
    const down = node.kill("policy");
    const started = performance.now();
    const first = await root.chat.completions.create(ask("x")).catch((error: unknown) => error);
    expect(performance.now() - started).toBeLessThan(3_000);
    // The supervisor may have been faster than the request.
    if (first instanceof APIError) expect(first).toMatchObject({ status: 503, code: "dependency_unavailable" });
    await down;
    await node.healthy();
    await eventually(async () => (await root.chat.completions.create(ask("x"))).choices.length === 1);
  });
});
