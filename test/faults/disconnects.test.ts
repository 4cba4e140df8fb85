import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startUpstream, type UpstreamServer } from "../../services/gateway/test/upstream-server.ts";
import { requestLog, type RequestRow } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";

/** A client that goes away, at every stage of a stream: charged what the upstream said or what was reserved, never 0. */

const HEAD = { "content-type": "text/event-stream" };
const piece = (content: string): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;
const usage = (prompt: number, completion: number): string =>
  `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: prompt, completion_tokens: completion } })}\n\n`;

/** What the upstream has done when the client goes away; then it stays as it is. */
const STAGES: Readonly<Record<string, (response: ServerResponse) => void>> = {
  "the upstream has answered": () => {},
  "the first piece": (response) => response.writeHead(200, HEAD).flushHeaders(),
  "the second piece": (response) => response.writeHead(200, HEAD).write(piece("one")),
  "usage is known": (response) => response.writeHead(200, HEAD).write(piece("one") + piece(" two")),
  "the end, with usage known": (response) => response.writeHead(200, HEAD).write(piece("one") + usage(5, 2)),
};
/** Answers that are read to their end. */
const ANSWERS: Readonly<Record<string, string>> = {
  cumulative: piece("one") + usage(5, 1) + piece(" two") + usage(5, 2) + piece(" three") + usage(5, 3),
  absent: piece("one") + piece(" two"),
};
const COST = { input: 3, output: 5 };
const MAX_TOKENS = 40;

let node: TestNode;
let upstream: UpstreamServer;
let folder: string;
let token: string;

beforeAll(async () => {
  upstream = await startUpstream((response, { body }) => {
    const { messages } = JSON.parse(body) as { messages: readonly { content: string }[] };
    const [asked = ""] = messages.map(({ content }) => content);
    const whole = ANSWERS[asked];
    if (whole !== undefined) return void response.writeHead(200, HEAD).end(`${whole}data: [DONE]\n\n`);
    STAGES[asked]?.(response);
  });
  folder = await mkdtemp(join(tmpdir(), "routeplane-disconnects-"));
  const providers = join(folder, "providers.yaml");
  const price = `price: {input_usd_per_mtok: ${COST.input}, output_usd_per_mtok: ${COST.output}}`;
  const provider = `{name: own, protocol: openai, base_url: "${upstream.baseUrl}", models: [{id: staged, ${price}}]}`;
  await writeFile(providers, `providers: [${provider}]`);
  node = await startNode({ environment: { ROUTEPLANE_PROVIDERS: providers } });
  token = await node.apiKey();
}, 120_000);

afterAll(async () => {
  await node?.remove();
  await upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

const bodyOf = (content: string): string =>
  JSON.stringify({ model: "staged", stream: true, max_tokens: MAX_TOKENS, messages: [{ role: "user", content }] });

const headers = () => ({ authorization: `Bearer ${token}`, "content-type": "application/json" });

/** The row that is new since then, once it is settled. */
function newRow(before: readonly RequestRow[]): Promise<RequestRow> {
  const known = new Set(before.map(({ id }) => id));
  return eventually(async () =>
    (await requestLog(node)).find(({ id, status }) => !known.has(id) && status !== "pending"),
  );
}

async function ask(content: string): Promise<string> {
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: "POST",
    headers: headers(),
    body: bodyOf(content),
  });
  return response.text();
}

/** What a request of this stage reserves: the bytes that go upstream are an upper bound of its input. */
const reservedAtLeast = (content: string): number => bodyOf(content).length * COST.input + MAX_TOKENS * COST.output;

describe("a client that goes away before", () => {
  it.each(Object.keys(STAGES))("%s is charged, and its upstream call is cut", async (stage) => {
    const before = await requestLog(node);
    const calls = upstream.requests.length;
    const gone = new AbortController();
    const init = { method: "POST", headers: headers(), body: bodyOf(stage), signal: gone.signal };
    const answering = fetch(`${node.url}/v1/chat/completions`, init).then((response) => response.body?.getReader());
    await eventually(() => upstream.requests.length === calls + 1);
    const writes = !["the upstream has answered", "the first piece"].includes(stage);
    if (writes) await (await answering)?.read();
    gone.abort();
    await answering.catch(() => {});
    const row = await newRow(before);
    expect(row.status).toBe("cancelled");
    if (stage === "the end, with usage known") expect(row.cost_micro_usd).toBe(5 * COST.input + 2 * COST.output);
    else expect(row.cost_micro_usd).toBeGreaterThanOrEqual(reservedAtLeast(stage));
    await eventually(() => upstream.requests[calls]?.aborted === true);
  });

  it("its request is complete is not in the log, and reaches no upstream", async () => {
    const before = await requestLog(node);
    const calls = upstream.requests.length;
    const socket = connect(node.port, "127.0.0.1");
    const lines = Object.entries({ host: "node", ...headers(), "content-length": "5000" });
    const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\n${head}\r\n${bodyOf("half").slice(0, 40)}`);
    socket.destroySoon();
    // A request that comes after it is in the log, and it is not.
    await ask("absent");
    await newRow(before);
    expect(await requestLog(node)).toHaveLength(Math.min(before.length + 1, 25));
    expect(upstream.requests).toHaveLength(calls + 1);
  });
});

describe("usage that an upstream reports", () => {
  it("in frames that are cumulative is charged once, as the last one says", async () => {
    const before = await requestLog(node);
    expect(await ask("cumulative")).toContain("three");
    expect(await newRow(before)).toMatchObject({
      completion_tokens: 3,
      cost_micro_usd: 5 * COST.input + 3 * COST.output,
    });
  });

  it("not at all is charged as reserved", async () => {
    const before = await requestLog(node);
    await ask("absent");
    const row = await newRow(before);
    expect(row).toMatchObject({ status: "succeeded", completion_tokens: MAX_TOKENS });
    expect(row.cost_micro_usd).toBeGreaterThanOrEqual(reservedAtLeast("absent"));
  });
});
