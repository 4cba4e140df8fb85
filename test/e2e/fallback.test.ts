import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { failing, working } from "../../services/gateway/test/fallback-under-test.ts";
import { type FakeProvider, startFakeProvider } from "../../services/gateway/test/fake-provider.ts";
import type OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addressesOf } from "../harness/addresses.ts";
import { chatBody, cliJson, failureOf, openAiClient, settledRow } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";

/** Tests of the stock client through a node whose models fail and have fallbacks in the providers file. */

let node: TestNode;
let failingProvider: FakeProvider;
let workingProvider: FakeProvider;
let folder: string;
let client: OpenAI;

beforeAll(async () => {
  failingProvider = await startFakeProvider(failing(503));
  workingProvider = await startFakeProvider(working);
  folder = await mkdtemp(join(tmpdir(), "routeplane-fallback-test-"));
  const file = join(folder, "providers.yaml");
  await writeFile(
    file,
    `providers:
  - name: main
    protocol: openai
    base_url: ${failingProvider.baseUrl}
    models:
      - {id: large, fallback: [spare/medium], price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}
      - {id: alone, retries: 1, price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}
  - name: spare
    protocol: openai
    base_url: ${workingProvider.baseUrl}
    models:
      - {id: medium, price: {input_usd_per_mtok: 10, output_usd_per_mtok: 20}}
`,
  );
  node = await startNode({ environment: { ROUTEPLANE_PROVIDERS: file } });
  client = openAiClient(node, await node.apiKey());
}, 120_000);

afterAll(async () => {
  await node?.remove();
  await Promise.all([failingProvider?.close(), workingProvider?.close()]);
  await rm(folder, { recursive: true, force: true });
});

describe("a request to a model that fails", () => {
  it("is answered by its fallback, which its row, its usage, its charge and its receipt name", async () => {
    const { data, request_id: requestId } = await client.chat.completions
      .create(chatBody("x", "large", { max_tokens: 10 }))
      .withResponse();
    expect(data.choices[0]?.message.content).toBe("hello");
    const row = await settledRow(node, requestId);
    expect(row).toMatchObject({
      status: "succeeded",
      provider: "spare",
      model: "medium",
      cost_micro_usd: 3 * 10 + 2 * 20,
    });
    const receipt = await cliJson(node, "cloud", "request", "get", row.id);
    expect(receipt).toMatchObject({
      billed_model: null,
      attempts: [
        { provider: "main", model: "large", status: 503, error_code: "upstream_overloaded" },
        { provider: "spare", model: "medium", status: 200, error_code: null },
      ],
    });
    const usage = await cliJson(node, "cloud", "usage", "--group-by", "provider");
    expect(usage).toMatchObject({
      groups: [{ provider: "spare", request_count: 1, spend_micro_usd: row.cost_micro_usd }],
    });
    const { stdout } = await node.cli(["cloud", "request", "get", row.id]);
    expect(stdout).toMatch(/^attempt +main\/large: 503 upstream_overloaded after \d+ ms$/m);
  });

  it("gets the upstream's error once its retries are used up, and has one row without a cost", async () => {
    const before = failingProvider.requests.length;
    const failure = await failureOf(client.chat.completions.create(chatBody("x", "alone", { max_tokens: 10 })));
    expect(failure).toMatchObject({ status: 503, code: "upstream_overloaded" });
    expect(failingProvider.requests.length - before).toBe(2);
    const row = await settledRow(node, failure.requestID);
    expect(row).toMatchObject({ status: "failed", provider: "main", model: "alone", cost_micro_usd: 0 });
    const receipt = await cliJson(node, "cloud", "request", "get", row.id);
    expect(receipt).toMatchObject({ attempts: [{ status: 503 }, { status: 503, error_code: "upstream_overloaded" }] });
  });

  it("is counted by the outcome of each attempt", async () => {
    const { operations } = await addressesOf(node);
    const metrics = await (await fetch(`http://${operations.gateway}/metrics`)).text();
    expect(metrics).toContain('routeplane_gateway_upstream_attempts_total{provider="main",outcome="server_error"} 3\n');
    expect(metrics).toContain('routeplane_gateway_upstream_attempts_total{provider="spare",outcome="succeeded"} 1\n');
    expect(metrics).toContain('routeplane_gateway_upstream_circuit_open{provider="main",model="large"} 0\n');
  });
});
