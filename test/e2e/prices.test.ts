import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sendJson, startFakeProvider, type FakeProvider } from "../../services/gateway/test/fake-provider.ts";
import { chatBody, cliJson } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { newNamespace } from "../harness/policies.ts";

/** Tests against a provider that answers with the usage and service tier that the last user message names, as JSON. */

const PARTS =
  "{input_usd_per_mtok: 10, output_usd_per_mtok: 20, cached_input_usd_per_mtok: 1, cache_write_usd_per_mtok: 12.5, " +
  "reasoning_usd_per_mtok: 5, usd_per_request: 0.001, " +
  "context_steps: [{above_input_tokens: 1000, input_usd_per_mtok: 20, output_usd_per_mtok: 30}], " +
  "service_tiers: {priority: {price_factor: 2}, flex: {input_usd_per_mtok: 4, output_usd_per_mtok: 8}}}";

let node: TestNode;
let upstream: FakeProvider;
let folder: string;

beforeAll(async () => {
  upstream = await startFakeProvider((response, { body }) => {
    const { model, messages } = JSON.parse(body) as { model: string; messages: { content: string }[] };
    const answered = JSON.parse(messages.at(-1)?.content ?? "{}") as object;
    const choices = [{ index: 0, message: { role: "assistant", content: "fine" }, finish_reason: "stop" }];
    sendJson(response, 200, { id: "c", object: "chat.completion", model, choices, ...answered });
  });
  folder = await mkdtemp(join(tmpdir(), "routeplane-prices-test-"));
  const providers = join(folder, "providers.yaml");
  const provider = (name: string) => `  - name: ${name}
    protocol: openai
    base_url: ${upstream.baseUrl}
    models:
`;
  const lab = `providers:\n${provider("lab")}      - {id: parts, price: ${PARTS}}
      - {id: free, price: {input_usd_per_mtok: 0, output_usd_per_mtok: 0}}
      - {id: paid, price: {input_usd_per_mtok: 1, output_usd_per_mtok: 1}}
      - {id: unknown, unknown_prices: charge}
      - {id: strict}
`;
  // Its entry in the catalogue is that of a free model.
  await writeFile(providers, `${lab}${provider("mistral")}      - {id: "mistral-nemo:free"}\n`);
  node = await startNode({ environment: { ROUTEPLANE_PROVIDERS: providers, ROUTEPLANE_UNKNOWN_PRICES: "refuse" } });
}, 120_000);

afterAll(async () => {
  await node?.remove();
  await upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

const USAGE = { prompt_tokens: 100, completion_tokens: 50 };

async function post(token: string, model: string, answered: object = { usage: USAGE }, more: object = {}) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const body = JSON.stringify(chatBody(JSON.stringify(answered), model, { max_tokens: 2_000, ...more }));
  const response = await fetch(`${node.url}/v1/chat/completions`, { method: "POST", headers, body });
  const { error } = (await response.json()) as { readonly error?: { readonly code: string } };
  return { status: response.status, id: response.headers.get("x-request-id") ?? "", code: error?.code };
}

interface Receipt {
  readonly status: string;
  readonly cost_micro_usd: number;
  readonly reserved_micro_usd: number;
  readonly estimated: boolean;
  readonly service_tier: string | null;
  readonly price: Readonly<Record<string, unknown>> | null;
}

async function receiptOf(answered: object, more: object = {}, model = "parts"): Promise<Receipt> {
  const { id } = await post(await node.apiKey(), model, answered, more);
  return eventually(async () => {
    const receipt = await cliJson<Receipt>(node, "cloud", "request", "get", id).catch(() => undefined);
    return receipt?.status === "pending" ? undefined : receipt;
  });
}

const cached = { prompt_tokens_details: { cached_tokens: 60 } };
const reasoned = { completion_tokens_details: { reasoning_tokens: 30 } };

describe("a request", () => {
  it.each<[string, object, number]>([
    ["input and output", USAGE, 1_000 + 1_000 + 1_000],
    ["cached input and reasoning", { ...USAGE, ...cached, ...reasoned }, 1_000 + 460 + 550],
    ["a longer context", { prompt_tokens: 1_001, completion_tokens: 50 }, 20_020 + 1_500],
  ])("is charged exactly by the rate of each part: %s", async (_, usage, cost) => {
    const receipt = await receiptOf({ usage });
    expect(receipt).toMatchObject({ cost_micro_usd: cost, estimated: false });
    expect(receipt.reserved_micro_usd).toBeGreaterThanOrEqual(cost);
  });

  it("has the rates that it was charged by in its receipt", async () => {
    const { price } = await receiptOf({ usage: { ...USAGE, ...cached } });
    expect(price).toMatchObject({
      input_pico_usd: 10_000_000,
      output_pico_usd: 20_000_000,
      request_pico_usd: 1_000_000_000,
      cached_input_pico_usd: 1_000_000,
      cache_write_pico_usd: 12_500_000,
      reasoning_pico_usd: 5_000_000,
    });
  });

  it.each<[string | undefined, string | undefined, number, boolean]>([
    ["priority", "priority", 6_000 - 1_000, false],
    ["priority", "default", 3_000, false],
    ["flex", "flex", 800, false],
    [undefined, "priority", 5_000, false],
    [undefined, "scale", 3_000, true],
  ])("for the tier %s that %s served is charged by that tier", async (requested, served, cost, estimated) => {
    const receipt = await receiptOf({ usage: USAGE, service_tier: served }, { service_tier: requested });
    expect(receipt).toMatchObject({ cost_micro_usd: cost, estimated, service_tier: served });
  });

  it("for a tier without a price is refused", async () => {
    const before = upstream.requests.length;
    expect(await post(await node.apiKey(), "parts", {}, { service_tier: "scale" })).toMatchObject({
      status: 400,
      code: "member_not_allowed",
    });
    expect(upstream.requests.length).toBe(before);
  });
});

describe("a free model", () => {
  it.each(["free", "mistral-nemo:free"])("costs nothing, exactly, and has its row: %s", async (model) => {
    const receipt = await receiptOf({ usage: USAGE }, {}, model);
    expect(receipt).toMatchObject({ status: "succeeded", cost_micro_usd: 0, reserved_micro_usd: 0, estimated: false });
  });

  it("is served under a budget that is used up", async () => {
    const namespace = await newNamespace(node, "prices");
    await namespace.bind({ budget: { window: "BUDGET_WINDOW_TOTAL", limitMicroUsd: "3000" } });
    const spend = { usage: { prompt_tokens: 2_000, completion_tokens: 1_000 } };
    expect((await post(namespace.root.token, "paid", spend)).status).toBe(200);
    await eventually(async () => ((await post(namespace.root.token, "paid", spend)).status === 402 ? true : undefined));
    expect((await post(namespace.root.token, "free")).status).toBe(200);
  });
});

describe("a model without a known price", () => {
  it("is refused and not listed if the operator refuses it, before anything is sent", async () => {
    const before = upstream.requests.length;
    expect(await post(await node.apiKey(), "strict")).toMatchObject({ status: 403, code: "model_price_unknown" });
    expect(upstream.requests.length).toBe(before);
    const headers = { authorization: `Bearer ${await node.apiKey()}` };
    const listed = await (await fetch(`${node.url}/v1/models`, { headers })).text();
    expect(listed).toContain('"unknown"');
    expect(listed).not.toContain('"strict"');
    expect((await fetch(`${node.url}/v1/models/strict`, { headers })).status).toBe(404);
  });

  it("is charged as an estimate if the operator charges it", async () => {
    expect(await receiptOf({ usage: USAGE }, {}, "unknown")).toMatchObject({
      cost_micro_usd: 2_500,
      estimated: true,
      price: { version: expect.stringMatching(/^default:/) as unknown },
    });
  });
});
