import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FakeProvider, sendJson, startFakeProvider } from "../../services/gateway/test/fake-provider.ts";
import { failureOf } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { newNamespace } from "../harness/policies.ts";
import { SAMPLE_REQUESTS, type SampleRequest } from "../harness/sample-requests.ts";

/** Tests of the token bounds of realistic requests, under limits that they just fit into. */

const OUTPUT_TOKENS = 100;
let node: TestNode;
let provider: FakeProvider;
let folder: string;
/** Resolves once the answers may be sent. */
let released: Promise<void> = Promise.resolve();

beforeAll(async () => {
  provider = await startFakeProvider(async (response, { body }) => {
    await released;
    const { user } = JSON.parse(body) as { user: string };
    const usage = { prompt_tokens: Number(user), completion_tokens: OUTPUT_TOKENS, total_tokens: Number(user) + 100 };
    const message = { role: "assistant", content: "yes ".repeat(OUTPUT_TOKENS) };
    sendJson(response, 200, {
      id: "c",
      model: "gpt-4o",
      choices: [{ index: 0, message, finish_reason: "stop" }],
      usage,
    });
  });
  folder = await mkdtemp(join(tmpdir(), "routeplane-bounds-test-"));
  const file = join(folder, "providers.yaml");
  const price = "price: {input_usd_per_mtok: 2.5, output_usd_per_mtok: 10}";
  const models = `[{id: gpt-4o, ${price}}]`;
  await writeFile(
    file,
    `providers: [{name: fake, protocol: openai, base_url: "${provider.baseUrl}", models: ${models}}]`,
  );
  node = await startNode({ environment: { ROUTEPLANE_PROVIDERS: file } });
}, 180_000);

afterAll(async () => {
  await node?.remove();
  await provider?.close();
  await rm(folder, { recursive: true, force: true });
});

const costOf = ({ inputTokens }: SampleRequest) => inputTokens * 2.5 + OUTPUT_TOKENS * 10;
const budget = (microUsd: number) => ({
  budget: { window: "BUDGET_WINDOW_TOTAL", limitMicroUsd: `${Math.ceil(microUsd)}` },
});
const rateLimit = (maxTokens: number) => ({ rateLimit: { windowSecs: 60, maxTokens: `${maxTokens}` } });
const clientOf = (apiKey: string) => new OpenAI({ apiKey, baseURL: `${node.url}/v1`, maxRetries: 0 });

function send(client: OpenAI, sample: SampleRequest) {
  const { messages, tools, inputTokens } = sample;
  return client.chat.completions.create({
    model: "gpt-4o",
    max_tokens: OUTPUT_TOKENS,
    messages: [...messages],
    ...(tools && { tools: [...tools] }),
    // The number that the provider counts for it.
    user: `${inputTokens}`,
  });
}

describe.each(SAMPLE_REQUESTS.map((sample) => [sample.name, sample] as const))("%s", (name, sample) => {
  it("passes under a budget and a rate limit of 2.5 times what it costs, and is charged what it costs", async () => {
    const home = await newNamespace(
      node,
      name
        .toLowerCase()
        .replace(/[^a-z]+/g, "-")
        .replace(/^-/, ""),
    );
    await home.bind(budget(costOf(sample) * 2.5));
    await home.bind(rateLimit(Math.ceil((sample.inputTokens + OUTPUT_TOKENS) * 2.5)));
    const answer = await send(clientOf(home.root.token), sample);
    expect(answer.usage?.prompt_tokens).toBe(sample.inputTokens);
  });
});

it("400 requests at once all pass under a budget for 1,000 of them", async () => {
  const home = await newNamespace(node, "crowd");
  const kinds = SAMPLE_REQUESTS.length;
  const total = SAMPLE_REQUESTS.reduce((sum, sample) => sum + costOf(sample), 0);
  await home.bind(budget((total / kinds) * 1_000));
  const client = clientOf(home.root.token);
  let release = (): void => {};
  released = new Promise((resolve) => (release = resolve));
  const before = provider.requests.length;
  const all = Array.from({ length: 400 }, async (_, n) => {
    const sample = SAMPLE_REQUESTS[n % kinds] ?? expect.fail("there are samples");
    const [first, ...rest] = sample.messages;
    const numbered = { ...sample, messages: [{ ...first, name: `caller-${n}` }, ...rest] as typeof sample.messages };
    try {
      await send(client, numbered);
      return 200;
    } catch (error) {
      return error instanceof OpenAI.APIError ? error.status : error;
    } finally {
      // Nothing is settled before everything is admitted or refused.
      if (provider.requests.length - before >= 400) release();
    }
  });
  const refused = Promise.race(all.map(async (each) => (await each) !== 200 && release()));
  const arrived = (async () => {
    while (provider.requests.length - before < 400) await new Promise((resolve) => setTimeout(resolve, 50));
    release();
  })();
  await Promise.race([arrived, refused]);
  const statuses = await Promise.all(all);
  expect(statuses.filter((status) => status === 200)).toHaveLength(400);
}, 120_000);

it("a refusal states the bound, and the limit that it exceeds", async () => {
  const home = await newNamespace(node, "refused");
  await home.bind(rateLimit(500));
  const [, sample = expect.fail("there is a long one")] = SAMPLE_REQUESTS;
  const { message } = await failureOf(send(clientOf(home.root.token), sample));
  expect(message).toMatch(/has 500 tokens left; the request needs at least \d+ tokens, which will never fit/);
});
