import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cancellation } from "../src/domain/ports/cancel-signal.ts";
import { createModelDirectory, type Model } from "../src/domain/request/model-directory.ts";
import type { WireName } from "../src/domain/wires/wire-name.ts";
import type { Provider } from "../src/providers/providers.ts";
import { createHttpUpstream, type HttpUpstreamOptions } from "../src/upstreams/http-upstream.ts";
import { type FakeProvider, sendJson, startFakeProvider } from "./fake-provider.ts";
import { loadProvidersText } from "./load-providers-text.ts";
import { pipelineUnderTest } from "./pipeline-under-test.ts";

const PAGE = readFileSync(join(import.meta.dirname, "../../../docs/providers.md"), "utf8");

/** Blocks of the page by their heading. */
const RECIPES: ReadonlyMap<string, string> = new Map(
  [...PAGE.matchAll(/^## (?<title>.+)\n(?:(?!^## )[^])*?^```yaml\n(?<yaml>[^]*?)^```/gm)].map(({ groups }) => [
    groups?.["title"] ?? "",
    groups?.["yaml"] ?? "",
  ]),
);

const KEY = "sk-of-the-operator";
const keyOf = (variable: string): string | undefined => (variable.endsWith("_API_KEY") ? KEY : undefined);

const load = (title: string): readonly Provider[] =>
  loadProvidersText(RECIPES.get(title) ?? expect.fail(`there is no recipe ${title}`), { variable: keyOf });

let server: FakeProvider;
beforeAll(async () => {
  server = await startFakeProvider((response, { path, body }) => {
    const { model } = JSON.parse(body) as { model: string };
    if (path.endsWith("/messages")) {
      const content = [{ type: "text", text: "hello" }];
      const answer = { id: "x", type: "message", role: "assistant", model, content, stop_reason: "end_turn" };
      return sendJson(response, 200, { ...answer, usage: { input_tokens: 2, output_tokens: 1 } });
    }
    const choices = [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }];
    const usage = { prompt_tokens: 2, completion_tokens: 1, total_tokens: 3 };
    sendJson(response, 200, { id: "x", object: "chat.completion", created: 1, model, choices, usage });
  });
});
afterAll(() => server.close());

/** Opens the upstream of a recipe at the local server, in place of its own address; its path stays. */
function openLocally(provider: Provider) {
  const upstream = provider.upstream as HttpUpstreamOptions;
  const baseUrl = new URL(upstream.baseUrl.pathname, server.baseUrl);
  return createHttpUpstream({ ...upstream, baseUrl });
}

/** Sends a request by a recipe, and returns what its provider receives, and what it is charged. */
async function call(title: string, model: string, more: object = {}) {
  const providers = load(title);
  const directory = createModelDirectory(providers.flatMap(({ models }) => models));
  const upstreams = new Map(providers.map((provider) => [provider.name, openLocally(provider)]));
  const { serve, usage } = pipelineUnderTest({ overrides: { directory, upstreams } });
  const messages = [{ role: "user", content: "hi" }];
  const before = server.requests.length;
  const { refusal, reply } = await serve({ model, messages, ...more });
  await Promise.all([...upstreams.values()].map((upstream) => upstream.close()));
  expect(refusal).toBeUndefined();
  const received = server.requests[before] ?? expect.fail("nothing was sent");
  return { path: received.path, headers: received.headers, body: JSON.parse(received.body) as object, reply, usage };
}

const BEARER = { authorization: `Bearer ${KEY}` };
const NEWER = "max_completion_tokens";
const OLDER = "max_tokens";

describe("the recipe", () => {
  it.each<[string, string, string, string, object, typeof NEWER | typeof OLDER]>([
    ["OpenAI", "gpt-4o-mini", "gpt-4o-mini", "/v1/chat/completions", BEARER, NEWER],
    ["Azure OpenAI", "azure/gpt-4o", "gpt-4o", "/openai/v1/chat/completions", { "api-key": KEY }, NEWER],
    ["Azure OpenAI", "assistant", "our-assistant", "/openai/v1/chat/completions", { "api-key": KEY }, NEWER],
    ["Gemini", "gemini-3.5-flash", "gemini-3.5-flash", "/v1beta/openai/chat/completions", BEARER, OLDER],
    ["Mistral", "mistral-small-latest", "mistral-small-latest", "/v1/chat/completions", BEARER, OLDER],
    ["xAI", "grok-4.6", "grok-4.6", "/v1/chat/completions", BEARER, OLDER],
    ["DeepSeek", "deepseek-chat", "deepseek-chat", "/v1/chat/completions", BEARER, OLDER],
    [
      "OpenRouter",
      "openrouter/deepseek/deepseek-chat",
      "deepseek/deepseek-chat",
      "/api/v1/chat/completions",
      { ...BEARER, "http-referer": "https://example.com", "x-title": "Example" },
      OLDER,
    ],
    ["vLLM", "qwen3-32b", "qwen3-32b", "/v1/chat/completions", BEARER, OLDER],
    ["Ollama", "llama3.2:3b", "llama3.2:3b", "/v1/chat/completions", {}, OLDER],
    ["LM Studio", "openai/gpt-oss-20b", "openai/gpt-oss-20b", "/v1/chat/completions", {}, OLDER],
  ])("for %s sends a chat with %s as the provider takes it", async (title, name, id, path, headers, outputField) => {
    const sent = await call(title, name);
    expect(sent).toMatchObject({ path, headers, body: { model: id, messages: [{ content: "hi" }] } });
    expect(Object.keys(sent.body).toSorted()).toEqual([outputField, "messages", "model"].toSorted());
    if (!("authorization" in headers)) expect(sent.headers).not.toHaveProperty("authorization");
    expect(sent.reply.status).toBe(200);
  });

  it("for Anthropic sends a chat as the messages that it takes", async () => {
    const { path, headers, body, reply } = await call("Anthropic", "claude-sonnet-5");
    expect(path).toBe("/v1/messages");
    expect(headers).toMatchObject({ "x-api-key": KEY, "anthropic-version": "2023-06-01" });
    expect(headers).not.toHaveProperty("authorization");
    expect(body).toMatchObject({ model: "claude-sonnet-5", max_tokens: 16_000, messages: [{ role: "user" }] });
    expect(reply.status).toBe(200);
  });

  it.each<[string, string, WireName, string, object]>([
    [
      "Anthropic",
      "claude-sonnet-5",
      "messages",
      "/v1/messages",
      { "x-api-key": KEY, "anthropic-version": "2023-06-01" },
    ],
    ["OpenAI", "gpt-4o", "responses", "/v1/responses", BEARER],
    ["OpenAI", "text-embedding-3-small", "embeddings", "/v1/embeddings", BEARER],
    ["Azure OpenAI", "gpt-4o", "responses", "/openai/v1/responses", { "api-key": KEY }],
    ["Gemini", "gemini-embedding-001", "embeddings", "/v1beta/openai/embeddings", BEARER],
    ["Ollama", "nomic-embed-text", "embeddings", "/v1/embeddings", {}],
  ])("for %s sends a request to %s in its other wire, %s", async (title, model, wire, path, headers) => {
    const [provider = expect.fail("no provider")] = load(title);
    const described = provider.models.find(({ id }) => id === model) ?? expect.fail("no such model");
    expect(described.wires).toContain(wire);
    const upstream = openLocally(provider);
    const before = server.requests.length;
    const body = JSON.stringify({ model });
    const answer = await upstream.send({ wire, model, body, streamed: false, signal: new Cancellation() });
    answer.discard();
    await upstream.close();
    expect(server.requests[before]).toMatchObject({ path, headers, body });
    if (!("authorization" in headers)) expect(server.requests[before]?.headers).not.toHaveProperty("authorization");
  });

  it("for Mistral sends no member that it refuses, whatever the client requests", async () => {
    const { body } = await call("Mistral", "mistral-large-2512", { max_completion_tokens: 9 });
    expect(body).toEqual(expect.objectContaining({ max_tokens: 9 }));
    expect(body).not.toHaveProperty("max_completion_tokens");
    const [{ models } = expect.fail("no provider")] = load("Mistral");
    expect(models.map(({ usageInStreams }) => usageInStreams)).toEqual(["never", "never", "never"]);
  });

  it("has prices for every model that it names, from the catalogue or in the recipe", () => {
    const providers = [...RECIPES.keys()].flatMap((title) => load(title));
    expect(providers.length).toBeGreaterThanOrEqual(14);
    expect(providers.flatMap(({ name, unpriced }) => unpriced.map((id) => `${name}/${id}`))).toEqual([]);
  });

  it("has the wires of its models", () => {
    const wiresOf = (title: string) =>
      Object.fromEntries(load(title).flatMap(({ models }) => models.map(({ id, wires = [] }) => [id, [...wires]])));
    expect(wiresOf("OpenAI")).toMatchObject({
      "gpt-4o": ["chat", "responses"],
      "text-embedding-3-small": ["embeddings"],
    });
    expect(wiresOf("Anthropic")).toMatchObject({ "claude-opus-5": ["messages"] });
    expect(wiresOf("Azure OpenAI")).toMatchObject({ "text-embedding-3-small": ["embeddings"] });
    expect(wiresOf("Gemini")).toMatchObject({ "gemini-3.5-flash": ["chat"], "gemini-embedding-001": ["embeddings"] });
    expect(wiresOf("vLLM")).toEqual({ "qwen3-32b": ["chat", "responses"] });
    expect(wiresOf("Ollama")).toEqual({ "llama3.2:3b": ["chat", "embeddings"], "nomic-embed-text": ["embeddings"] });
  });

  it("for fallback and deployments distributes requests, and names the next hops", () => {
    const models = load("Fallback and deployments").flatMap((provider) => provider.models);
    const model: Model | undefined = createModelDirectory(models).find("default");
    expect(model).toMatchObject({
      provider: "azure-eu",
      id: "gpt-4o",
      retries: 1,
      fallback: ["anthropic/claude-sonnet-5"],
      deployments: [
        { provider: "azure-eu", weight: 3 },
        { provider: "azure-us", weight: 1 },
      ],
    });
  });
});
