import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { failureOf, openAiClient, refusalOf } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { newNamespace } from "../harness/policies.ts";
import { openStream, type SlowUpstream, startSlowUpstream } from "../harness/streams.ts";

/** Tests of policies that are bound, changed and unbound while a request runs. */

let node: TestNode;
let upstream: SlowUpstream;
let folder: string;

beforeAll(async () => {
  upstream = await startSlowUpstream();
  folder = await mkdtemp(join(tmpdir(), "routeplane-running-test-"));
  const providers = join(folder, "providers.yaml");
  const price = "price: {input_usd_per_mtok: 1, output_usd_per_mtok: 1}";
  const provider = `  - {name: local, protocol: openai, base_url: ${upstream.baseUrl}, models: [{id: slow, ${price}}]}`;
  await writeFile(providers, `providers:\n${provider}\n`);
  node = await startNode({ environment: { ROUTEPLANE_PROVIDERS: providers } });
}, 120_000);

afterAll(async () => {
  await node?.remove();
  await upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

const guardrailOf = (action: string) => ({
  contentPatterns: [{ name: "w", pattern: "two", action: `PATTERN_ACTION_${action}`, appliesTo: "PATTERN_SCOPE_BOTH" }],
});

it("a running stream continues as admitted: policies bound meanwhile apply to the next request, and do not count this one", async () => {
  const home = await newNamespace(node, "bound-later");
  const { root } = home;
  const running = await openStream(node.url, root.token);
  await home.bind({ guardrail: { ...guardrailOf("REDACT"), allowStreaming: false } }, root.id);
  await home.bind({ budget: { window: "BUDGET_WINDOW_TOTAL", limitMicroUsd: "1" } }, root.id);
  const next = { model: "slow", max_tokens: 1, messages: [{ role: "user" as const, content: "x" }] };
  const client = openAiClient(node, root.token);
  const streaming = await refusalOf(() => client.chat.completions.create({ ...next, stream: true }));
  expect(streaming).toMatchObject({ status: 400, code: "streaming_not_allowed" });
  const over = await failureOf(client.chat.completions.create(next));
  expect(over).toMatchObject({ status: 402, code: "budget_exceeded" });
  upstream.finish();
  expect(await running.rest()).toBe("one two");
  const rows = async () =>
    (await home.cli<{ data: { id: string; status: string; cost_micro_usd: number }[] }>(root.token, "requests")).data;
  const settled = await eventually(async () =>
    (await rows()).find(({ id, status }) => id === running.requestId && status !== "pending"),
  );
  expect(settled).toMatchObject({ status: "succeeded", cost_micro_usd: 7 });
  const principal = ["--principal-type", "api_key", "--principal-id", root.id];
  const { budgets } = await home.cli<{ budgets: object[] }>(root.token, "policy", "effective", ...principal);
  expect(budgets).toMatchObject([{ spent_micro_usd: 0, reserved_micro_usd: 0 }]);
});

it("invalid requests use no slot and no budget", async () => {
  const home = await newNamespace(node, "deep-bodies");
  const { root } = home;
  await home.bind({ rateLimit: { windowSecs: 60, maxConcurrent: "3" } });
  await home.bind({ budget: { window: "BUDGET_WINDOW_TOTAL", limitMicroUsd: "100000" } });
  const sub = await home.mint(root.token, "sub");
  const headers = { authorization: `Bearer ${sub.token}`, "content-type": "application/json" };
  const deep = `${"[".repeat(5_000)}${"]".repeat(5_000)}`;
  const body = `{"model":"echo","max_tokens":9000,"messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":{"a":${deep}}}`;
  for (let count = 0; count < 4; count++) {
    const response = await fetch(`${node.url}/v1/chat/completions`, { method: "POST", headers, body });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain("nested deeper than 64 levels");
  }
  const { id } = await openAiClient(node, root.token).chat.completions.create({
    model: "echo",
    messages: [{ role: "user", content: "one two" }],
  });
  expect(id).toContain("chatcmpl-");
  const principal = ["--principal-type", "api_key", "--principal-id", root.id];
  // The reservation of the last request is settled in the background.
  await eventually(async () => {
    const effective = ["policy", "effective", ...principal];
    const { budgets } = await home.cli<{ budgets: { reserved_micro_usd: number }[] }>(root.token, ...effective);
    return budgets[0]?.reserved_micro_usd === 0;
  });
});
