import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startFakeProvider, type FakeProvider } from "../../services/gateway/test/fake-provider.ts";
import { cliJson, mintKey, requestLog, type RequestRow } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";

/** Headers of a stream of the upstream. */
const HEAD = { "content-type": "text/event-stream" };
const piece = (content: string): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;
const usage = (prompt: number, completion: number): string => {
  const details = { prompt_tokens_details: { cached_tokens: 4 }, completion_tokens_details: { reasoning_tokens: 1 } };
  const counts = { prompt_tokens: prompt, completion_tokens: completion, ...details };
  return `data: ${JSON.stringify({ choices: [], usage: counts })}\n\n`;
};

const FINISH = `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}\n\n`;

/** Stages of an answer at which the client hangs up, each with what the upstream has sent by then; it sends no more. */
const STAGES: Readonly<Record<string, (response: ServerResponse) => void>> = {
  "the upstream has answered": () => {},
  "the upstream has answered with a whole answer": () => {},
  "the first piece": (response) => response.writeHead(200, HEAD).flushHeaders(),
  "the second piece": (response) => response.writeHead(200, HEAD).write(piece("one")),
  "usage is known": (response) => response.writeHead(200, HEAD).write(piece("one") + piece(" two")),
  "the second piece, with usage reported early": (response) =>
    response.writeHead(200, HEAD).write(usage(5, 0) + piece("one") + usage(5, 1)),
  "the end, with usage known": (response) => response.writeHead(200, HEAD).write(piece("one") + FINISH + usage(5, 2)),
};
/** Answers that are read to the end. */
const ANSWERS: Readonly<Record<string, string>> = {
  cumulative: piece("one") + usage(5, 1) + piece(" two") + usage(5, 2) + piece(" three") + usage(5, 3),
  absent: piece("one") + piece(" two"),
};
const COST = { input: 3, output: 5 };
const MAX_TOKENS = 100_000;
const KEYS = ["under no budget", "under a budget"] as const;

let node: TestNode;
let upstream: FakeProvider;
let folder: string;
const tokens: Partial<Record<(typeof KEYS)[number], string>> = {};

beforeAll(async () => {
  upstream = await startFakeProvider((response, { body }) => {
    const { messages } = JSON.parse(body) as { messages: readonly { content: string }[] };
    const [prompt = ""] = messages.map(({ content }) => content);
    const answer = ANSWERS[prompt];
    if (answer !== undefined) return void response.writeHead(200, HEAD).end(`${answer}data: [DONE]\n\n`);
    STAGES[prompt]?.(response);
  });
  folder = await mkdtemp(join(tmpdir(), "routeplane-disconnects-"));
  const providers = join(folder, "providers.yaml");
  const price = `price: {input_usd_per_mtok: ${COST.input}, output_usd_per_mtok: ${COST.output}}`;
  const provider = `{name: own, protocol: openai, base_url: "${upstream.baseUrl}", models: [{id: staged, ${price}}]}`;
  await writeFile(providers, `providers: [${provider}]`);
  node = await startNode({ environment: { ROUTEPLANE_PROVIDERS: providers } });
  tokens["under no budget"] = await node.apiKey();
  tokens["under a budget"] = await budgetedKey();
}, 120_000);

afterAll(async () => {
  await node?.remove();
  await upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

async function budgetedKey(): Promise<string> {
  const { id, token } = await mintKey(node, "budgeted");
  const limit = ["--window", "total", "--limit-micro-usd", "1000000000"];
  const budget = await cliJson<{ id: string }>(node, "cloud", "budget", "create", "--name", "wide", ...limit);
  await cliJson(node, "cloud", "policy", "bind", budget.id, "--principal-type", "api_key", "--principal-id", id);
  return token;
}

function bodyOf(content: string): string {
  const stream = !content.endsWith("whole answer");
  return JSON.stringify({ model: "staged", stream, max_tokens: MAX_TOKENS, messages: [{ role: "user", content }] });
}

const headers = (key: (typeof KEYS)[number] = "under no budget") => ({
  authorization: `Bearer ${tokens[key]}`,
  "content-type": "application/json",
});

/** Ids of the rows that earlier tests have seen. */
const seenRows = new Set<string>();

/** Row of the last request, once it is settled. */
async function newRow(): Promise<RequestRow> {
  const row = await eventually(async () =>
    (await requestLog(node)).find(({ id, status }) => !seenRows.has(id) && status !== "pending"),
  );
  seenRows.add(row.id);
  return row;
}

async function ask(content: string, key?: (typeof KEYS)[number]): Promise<string> {
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: "POST",
    headers: headers(key),
    body: bodyOf(content),
  });
  return response.text();
}

/** Lower bound on the reservation of a request: its bytes are an upper bound on its input tokens. */
const reservedAtLeast = (content: string): number => bodyOf(content).length * COST.input + MAX_TOKENS * COST.output;

/**
 * Expects a charge of the input, the delivered output, and the output that the upstream generated until it noticed: more than a few tokens.
 */
function expectEstimate(row: RequestRow, inputTokens: number): void {
  expect(row.estimated).toBe(true);
  expect(row.cost_micro_usd).toBeGreaterThanOrEqual(inputTokens * COST.input + 64 * COST.output);
  expect(row.cost_micro_usd).toBeLessThanOrEqual(row.reserved_micro_usd);
  expect(row.completion_tokens).toBeLessThanOrEqual(MAX_TOKENS);
}

describe.each(KEYS)("%s, a client that hangs up before", (key) => {
  it.each(Object.keys(STAGES))("%s is charged, and its upstream call is cancelled", async (stage) => {
    const calls = upstream.requests.length;
    const hangUp = new AbortController();
    const init = { method: "POST", headers: headers(key), body: bodyOf(stage), signal: hangUp.signal };
    const answering = fetch(`${node.url}/v1/chat/completions`, init).then((response) => response.body?.getReader());
    await eventually(() => upstream.requests.length === calls + 1);
    const hasBody = !/has answered|first piece/.test(stage);
    if (hasBody) await (await answering)?.read();
    hangUp.abort();
    await answering.catch(() => {});
    const row = await newRow();
    // Its whole answer was sent before the closed connection was noticed.
    expect(row.status).toBe(stage === "the end, with usage known" ? "succeeded" : "cancelled");
    if (stage === "the end, with usage known") expect(row.cost_micro_usd).toBe(5 * COST.input + 2 * COST.output);
    else if (stage.endsWith("whole answer")) expect(row.cost_micro_usd).toBe(row.reserved_micro_usd);
    else expectEstimate(row, stage.includes("early") ? 5 : bodyOf(stage).length);
    expect(row.reserved_micro_usd).toBeGreaterThanOrEqual(reservedAtLeast(stage));
    await eventually(() => upstream.requests[calls]?.aborted === true);
  });
});

describe("a client that hangs up before", () => {
  it("its request is complete is neither logged nor sent upstream", async () => {
    const calls = upstream.requests.length;
    const socket = connect(node.port, "127.0.0.1");
    const lines = Object.entries({ host: "node", ...headers(), "content-length": "5000" });
    const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\n${head}\r\n${bodyOf("half").slice(0, 40)}`);
    socket.destroySoon();
    // A later request is in the log, but this one is not.
    await ask("absent");
    await newRow();
    expect((await requestLog(node)).map(({ id }) => id).toSorted()).toEqual([...seenRows].toSorted());
    expect(upstream.requests).toHaveLength(calls + 1);
  });
});

describe.each(KEYS)("%s, usage that an upstream reports", (key) => {
  it("in cumulative frames is charged once, by the last one", async () => {
    expect(await ask("cumulative", key)).toContain("three");
    const row = await newRow();
    expect(row).toMatchObject({ completion_tokens: 3, cost_micro_usd: 5 * COST.input + 3 * COST.output });
    const ms = expect.any(Number) as unknown;
    expect(await cliJson(node, "cloud", "request", "get", row.id)).toMatchObject({
      ...row,
      price: {
        version: expect.stringMatching(/^file:/) as unknown,
        input_pico_usd: COST.input * 1e6,
        output_pico_usd: COST.output * 1e6,
      },
      token_buckets: { prompt: 5, cached_prompt: 4, completion: 3, reasoning: 1 },
      timings: {
        admitted_at: expect.any(String) as unknown,
        time_to_first_token_ms: ms,
        upstream_ms: ms,
        total_ms: ms,
      },
    });
  });

  it("in no frame is estimated by the input as counted and the text that was delivered", async () => {
    await ask("absent", key);
    const row = await newRow();
    expect(row).toMatchObject({ status: "succeeded", estimated: true });
    expect(row.completion_tokens).toBeGreaterThanOrEqual(2);
    expect(row.cost_micro_usd).toBeGreaterThanOrEqual(bodyOf("absent").length * COST.input + 2 * COST.output);
    expect(row.cost_micro_usd).toBeLessThan(row.reserved_micro_usd / 2);
  });
});
