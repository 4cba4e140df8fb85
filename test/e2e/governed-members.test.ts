import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import type OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sendJson, startFakeProvider, type FakeProvider } from "../../services/gateway/test/fake-provider.ts";
import { chatBody, cliJson, openAiClient } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { type NamespaceKeys, newNamespace } from "../harness/policies.ts";

/** Tests against a provider that accepts every member, and bills a whole context window for content that is not text. */

const BUDGET_MICRO_USD = 3_000;
const WINDOW_TOKENS = 1_000_000;

let node: TestNode;
let upstream: FakeProvider;
let folder: string;
/** Namespace with a budget of 3,000 micro-USD and a key. */
let home: NamespaceKeys;
let capped: string;
let root: OpenAI;

beforeAll(async () => {
  upstream = await startFakeProvider((response, { body }) => {
    const { model, messages } = JSON.parse(body) as { model: string; messages: { content: unknown }[] };
    const isText = messages.every(({ content }) => typeof content === "string");
    const usage = { prompt_tokens: isText ? 10 : WINDOW_TOKENS, completion_tokens: 5, total_tokens: 0 };
    const choices = [{ index: 0, message: { role: "assistant", content: "fine" }, finish_reason: "stop" }];
    const answered = model === "routed" ? "dear" : `${model}-2026-07-18`;
    sendJson(response, 200, { id: "c", object: "chat.completion", model: answered, choices, usage });
  });
  folder = await mkdtemp(join(tmpdir(), "routeplane-members-test-"));
  const providers = join(folder, "providers.yaml");
  const price = "price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}";
  await writeFile(
    providers,
    `providers:
  - name: local
    protocol: openai
    base_url: ${upstream.baseUrl}
    allow_members: [fallbacks]
    models:
      - {id: plain, ${price}}
      - {id: routed, ${price}}
      - {id: dear, price: {input_usd_per_mtok: 100, output_usd_per_mtok: 200}}
      - id: priced
        ${price}
        allow_members: [service_tier]
        surcharges:
          - {member: service_tier, value: priority, price_factor: 2}
          - {member: web_search_options, usd_per_request: 0.025}
`,
  );
  node = await startNode({ environment: { ROUTEPLANE_PROVIDERS: providers } });
  root = openAiClient(node, await node.apiKey());
  home = await newNamespace(node, "members");
  capped = home.root.token;
  await home.bind({ budget: { window: "BUDGET_WINDOW_TOTAL", limitMicroUsd: String(BUDGET_MICRO_USD) } });
}, 120_000);

afterAll(async () => {
  await node?.remove();
  await upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

interface Answered {
  readonly status: number;
  readonly id: string | null;
  readonly error?: { readonly code: string; readonly param: string | null; readonly message: string };
}

async function post(token: string, body: object | string): Promise<Answered> {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(`${node.url}/v1/chat/completions`, { method: "POST", headers, body: text });
  const { error } = (await response.json()) as Pick<Answered, "error">;
  return { status: response.status, id: response.headers.get("x-request-id"), ...(error && { error }) };
}

const URL = "https://example.com/film";
const content = (...parts: readonly unknown[]) => ({
  model: "plain",
  max_tokens: 5,
  messages: [{ role: "user", content: parts }],
});
const plain = (more: object) => chatBody("hi", "plain", { max_tokens: 5, ...more });
const raw = (message: string) => `{"model":"plain","max_tokens":5,"messages":[{"role":"user",${message}}]}`;
const IMAGES = JSON.stringify([{ type: "image_url", image_url: { url: "data:image/png;base64,AA" } }]);

describe("a budget of 3,000 micro-USD", () => {
  it.each<[string, object | string]>([
    ["video_url", content({ type: "video_url", video_url: { url: URL } })],
    ["audio_url", content({ type: "audio_url", audio_url: { url: URL } })],
    ["document_url", content({ type: "document_url", document_url: URL })],
    ["a video as an image", content({ type: "image_url", image_url: { url: `${URL}.mp4` } })],
    ["a part without type", content({ image_url: { url: URL } })],
    ["a part whose type lies", content({ type: "text", text: "hi", image_url: { url: URL } })],
    ["audio by reference", content({ type: "input_audio", input_audio: { data: URL, format: "wav" } })],
    ["images beside content", { ...plain({}), messages: [{ role: "user", content: "hi", images: [URL] }] }],
    ["an earlier answer's audio", { ...plain({}), messages: [{ role: "assistant", audio: { id: "audio_1" } }] }],
    ["a second content", raw(`"content":${IMAGES},"content":"hi"`)],
    ["a capitalised content", raw(`"Content":${IMAGES},"content":"hi"`)],
    ["content as an object", raw(`"content":{"type":"image_url"}`)],
    ["max_token\u017f", plain({ "max_token\u017f": 1_000_000 })],
    ["ma\u212a_tokens", plain({ "ma\u212a_tokens": 1_000_000 })],
    ["max_new_tokens", plain({ max_new_tokens: 1_000_000 })],
    ["num_predict", plain({ num_predict: -1 })],
    ["best_of", plain({ best_of: 20 })],
    ["options", plain({ options: { num_predict: -1 } })],
    ["top-level images", plain({ images: [URL] })],
  ])("is not spent by %s, which is refused and not sent upstream", async (_, body) => {
    const before = upstream.requests.length;
    const { status, error } = await post(capped, body);
    expect([400, 402]).toContain(status);
    expect(error?.code).toMatch(/^(?:budget_exceeded|invalid_value|member_not_allowed)$/);
    expect(upstream.requests.length).toBe(before);
  });

  it("is spent by requests that fit, and never beyond its limit", async () => {
    const { status, id } = await post(capped, plain({}));
    expect(status).toBe(200);
    const { data } = await eventually(async () => {
      const requests = await home.cli<{ data: { id: string; status: string; cost_micro_usd: number }[] }>(
        capped,
        "requests",
      );
      return requests.data.some((each) => each.id === id && each.status === "succeeded") ? requests : undefined;
    });
    const spent = data.reduce((sum, { cost_micro_usd }) => sum + cost_micro_usd, 0);
    expect(spent).toBe(20);
    expect(spent).toBeLessThan(BUDGET_MICRO_USD);
  });
});

describe("members that route, redirect or are billed extra", () => {
  it.each([
    { models: ["dear"] },
    { route: "fallback" },
    { provider: { order: ["x"] } },
    { plugins: [{ id: "web" }] },
    { transforms: ["middle-out"] },
    { api_base: "https://evil.example" },
    { base_url: "https://evil.example" },
    { api_key: "sk-x" },
    { user_config: {}, extra_body: { model: "dear" } },
    { service_tier: "priority" },
    { web_search_options: {} },
    { modalities: ["text", "audio"], audio: { voice: "alloy", format: "wav" } },
    { tools: [{ type: "code_interpreter" }] },
  ])("are refused by name, with who may allow them: %j", async (members) => {
    const before = upstream.requests.length;
    const { status, error } = await post(await node.apiKey(), plain(members));
    expect(status).toBe(400);
    expect(error).toMatchObject({
      code: "member_not_allowed",
      message: expect.stringContaining("allow_members") as unknown,
    });
    expect(JSON.stringify(Object.keys(members))).toContain(String(error?.param).replace(/\[.*/, ""));
    expect(upstream.requests.length).toBe(before);
  });

  it("pass unchanged where the operator allows them, like all that have no effect or are unknown", async () => {
    const text =
      '{ "model":"plain","max_tokens":5 ,"fallbacks":["b"], "service_tier":"default","modalities":["text"],"store":false,' +
      '"x_new":{"n":1.0},"seed":12345678901234567890,"metadata":{"a":"b"},"messages":[{"role":"user","content":"hi"}]}';
    expect((await post(await node.apiKey(), text)).status).toBe(200);
    expect(upstream.requests.at(-1)?.body).toBe(text);
  });

  it("work with the stock client", async () => {
    const completion = await root.chat.completions.create({
      ...chatBody("hi", "plain"),
      max_completion_tokens: 5,
      temperature: 0,
      service_tier: "auto",
      reasoning_effort: "low",
      verbosity: "low",
      store: true,
      metadata: { run: "7" },
      user: "u",
      prompt_cache_key: "k",
      tools: [{ type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } }],
      tool_choice: "auto",
      response_format: { type: "text" },
    });
    expect(completion.choices[0]?.message.content).toBe("fine");
  });
});

describe("the receipt", () => {
  interface Receipt {
    readonly status: string;
    readonly model: string;
    readonly cost_micro_usd: number;
    readonly reserved_micro_usd: number;
    readonly billed_model: string | null;
    readonly overrun_micro_usd: number;
    readonly price: { readonly request_pico_usd: number } | null;
  }

  const receiptOf = (id: string | null): Promise<Receipt> =>
    eventually(async () => {
      const receipt = await cliJson<Receipt>(node, "cloud", "request", "get", id ?? "").catch(() => undefined);
      return receipt?.status === "pending" ? undefined : receipt;
    });

  it("has the surcharges that were priced", async () => {
    const priority = await post(
      await node.apiKey(),
      chatBody("hi", "priced", { max_tokens: 5, service_tier: "priority" }),
    );
    expect(await receiptOf(priority.id)).toMatchObject({ cost_micro_usd: 40, overrun_micro_usd: 0 });
    const search = await post(await node.apiKey(), chatBody("hi", "priced", { max_tokens: 5, web_search_options: {} }));
    const receipt = await receiptOf(search.id);
    expect(receipt).toMatchObject({ cost_micro_usd: 25_020, price: { request_pico_usd: 25_000_000_000 } });
    expect(receipt.reserved_micro_usd).toBeGreaterThan(25_000);
    const refused = await post(capped, chatBody("hi", "priced", { max_tokens: 5, web_search_options: {} }));
    expect(refused).toMatchObject({ status: 402, error: { code: "budget_exceeded" } });
  });

  it("names the billed model, and the overrun beyond the reservation", async () => {
    const { id } = await post(await node.apiKey(), chatBody("hi", "routed", { max_tokens: 5 }));
    const receipt = await receiptOf(id);
    expect(receipt).toMatchObject({ model: "routed", billed_model: "dear", cost_micro_usd: 2_000 });
    expect(receipt.overrun_micro_usd).toBe(2_000 - receipt.reserved_micro_usd);
    expect(await receiptOf((await post(await node.apiKey(), plain({}))).id)).toMatchObject({ billed_model: null });
  });
});
