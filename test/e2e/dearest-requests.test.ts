import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type FakeProvider, sendJson, startFakeProvider } from "../../services/gateway/test/fake-provider.ts";
import { chatBody, cliJson, openAiClient, settledRow } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";

/** Tests that a request at the highest allowed price with the largest accepted usage has a row and counts in sums, through all services. */

const MOST_TOKENS = 1_000_000_000;
/** Cost of a request with the most tokens at 1 USD each, in micro-USD. */
const MOST_MICRO_USD = 2 * MOST_TOKENS * 1e6;
/** More than a 64-bit sum of nano-USD holds. */
const REQUESTS = 6;

let node: TestNode;
let upstream: FakeProvider;
let folder: string;

beforeAll(async () => {
  const usage = { prompt_tokens: MOST_TOKENS, completion_tokens: MOST_TOKENS, total_tokens: 2 * MOST_TOKENS };
  const message = { role: "assistant", content: "fine" };
  upstream = await startFakeProvider((response) =>
    sendJson(response, 200, { id: "c", choices: [{ index: 0, message, finish_reason: "stop" }], usage }),
  );
  folder = await mkdtemp(join(tmpdir(), "routeplane-dearest-"));
  const providers = join(folder, "providers.yaml");
  const lines = [
    "providers:",
    "  - name: local",
    "    protocol: openai",
    `    base_url: ${upstream.baseUrl}`,
    "    models:",
    "      - id: dearest",
    "        price: {input_usd_per_mtok: 1000000, output_usd_per_mtok: 1000000}",
  ];
  await writeFile(providers, lines.join("\n"));
  node = await startNode({ environment: { ROUTEPLANE_PROVIDERS: providers } });
}, 120_000);

afterAll(async () => {
  await node?.remove();
  await upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

it("the most expensive allowed request has a row, and counts in usage, exactly", async () => {
  const client = openAiClient(node, await node.apiKey());
  const rows = await Promise.all(
    Array.from({ length: REQUESTS }, async () => {
      const { request_id } = await client.chat.completions.create(chatBody("hi", "dearest")).withResponse();
      return settledRow(node, request_id);
    }),
  );
  const counts = { prompt_tokens: MOST_TOKENS, completion_tokens: MOST_TOKENS };
  for (const row of rows) {
    expect(row).toMatchObject({ status: "succeeded", cost_micro_usd: MOST_MICRO_USD, estimated: false, ...counts });
  }
  const sum = { request_count: REQUESTS, spend_micro_usd: REQUESTS * MOST_MICRO_USD };
  const group = { model: "dearest", ...sum };
  await eventually(async () => {
    expect(await cliJson(node, "cloud", "usage")).toMatchObject(sum);
    return true;
  });
  expect(await cliJson(node, "cloud", "usage", "--group-by", "model")).toMatchObject({ ...sum, groups: [group] });
  expect(await cliJson(node, "admin", "dead-letters", "list")).toMatchObject({ data: [] });
  expect(await cliJson(node, "admin", "reconcile")).toMatchObject({
    differences: [],
    budgets: { charges: [], counters: [] },
  });
});
