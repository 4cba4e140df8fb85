import { describe, expect, it } from "vitest";
import { faultOf, loadProvidersText } from "../../test/load-providers-text.ts";

const provider = (baseUrl: string, lines: readonly string[], protocol = "openai"): string =>
  ["providers:", "  - name: p", `    protocol: ${protocol}`, `    base_url: ${baseUrl}`, "    api_key_env: KEY"]
    .concat(lines.map((line) => `    ${line}`))
    .join("\n");

const modelOf = (text: string, index = 0) => loadProvidersText(text)[0]?.models[index];
const wiresOf = (...described: Parameters<typeof provider>) => [...(modelOf(provider(...described))?.wires ?? [])];

describe("the wires of a model", () => {
  it.each([
    ["https://api.openai.com/v1", "gpt-4o", ["chat", "responses"]],
    ["https://api.openai.com/v1", "o3-pro", ["responses"]],
    ["https://api.openai.com/v1", "text-embedding-3-small", ["embeddings"]],
    ["https://api.openai.com/v1", "ft:unknown", ["chat", "responses", "embeddings"]],
    ["https://x.openai.azure.com/openai/v1", "anything", ["chat", "responses", "embeddings"]],
    ["https://x.openai.azure.com/openai/deployments/d", "gpt-4o", ["chat"]],
    ["https://api.mistral.ai/v1", "mistral-large-2512", ["chat"]],
    ["https://api.mistral.ai/v1", "mistral-embed", ["embeddings"]],
    ["http://127.0.0.1:11434/v1", "llama", ["chat", "embeddings"]],
    ["http://127.0.0.1:11434/v1", "nomic-embed-text", ["embeddings"]],
  ])("at %s of %s are %j", (baseUrl, id, wires) => {
    expect(wiresOf(baseUrl, [`models: [{id: "${id}"}]`])).toEqual(wires);
  });

  it("are said by the file where the catalogue does not know the model", () => {
    const local = "http://127.0.0.1:8000/v1";
    expect(wiresOf(local, ["wires: [chat, responses]", "models: [{id: m}]"])).toEqual(["chat", "responses"]);
    expect(wiresOf(local, ["wires: [chat]", "models: [{id: bge-m3, wires: [embeddings]}]"])).toEqual(["embeddings"]);
    const mistral = ["wires: [chat, embeddings]", "models: [{id: mistral-large-2512}]"];
    expect(wiresOf("https://api.mistral.ai/v1", mistral)).toEqual(["chat"]);
  });

  it("are those of messages at an upstream that speaks Anthropic's", () => {
    expect(wiresOf("https://api.anthropic.com/v1", [], "anthropic")).toEqual(["messages"]);
  });

  it.each([
    ["openai", "wires: [messages]", /wires\[0\]: must be chat or responses or embeddings/],
    ["anthropic", "wires: [chat]", /wires\[0\]: must be messages/],
    ["openai", "wires: []", /wires: must name at least one wire/],
    ["openai", "context_tokens: 0", /context_tokens: must be a whole number from 1/],
    ["openai", "capabilities: {video: true}", /capabilities\.video: unknown field/],
    ["openai", "capabilities: {images: maybe}", /capabilities\.images: must be true or false/],
  ])("and other facts with a fault are refused by line and field: %s, %s", (protocol, line, message) => {
    const fault = faultOf(provider("http://127.0.0.1:1/v1", [line, "models: [{id: m}]"], protocol));
    expect(fault).toEqual({ line: 6, message: expect.stringMatching(message) as string });
  });
});

describe("the facts about a model", () => {
  const OPENAI = "https://api.openai.com/v1";

  it("are those of the catalogue", () => {
    const gpt = modelOf(provider(OPENAI, ["models: [{id: gpt-4o}]"]));
    expect(gpt).toMatchObject({
      contextTokens: 128_000,
      capabilities: { tools: true, images: true, audio: false, reasoning: false },
    });
    const old = modelOf(provider(OPENAI, ["models: [{id: gpt-3.5-turbo}]"]));
    expect(old).toMatchObject({ contextTokens: 16_385, capabilities: { images: false } });
    const claude = modelOf(provider("https://api.anthropic.com/v1", ["models: [{id: claude-opus-5}]"], "anthropic"));
    expect(claude).toMatchObject({ contextTokens: 1_000_000, capabilities: { tools: true, images: true } });
    expect(claude?.capabilities).not.toHaveProperty("reasoning");
  });

  it("are those of the file first: of the model, then of its provider", () => {
    const lines = [
      "context_tokens: 1000",
      "capabilities: {tools: false, images: false}",
      "models: [{id: gpt-4o, capabilities: {images: true}}, {id: gpt-4.1, context_tokens: 2000}]",
    ];
    const text = provider(OPENAI, lines);
    expect(modelOf(text)).toMatchObject({ contextTokens: 1_000, capabilities: { tools: false, images: true } });
    expect(modelOf(text, 1)).toMatchObject({ contextTokens: 2_000, capabilities: { tools: false, images: false } });
  });

  it("are not guessed from the name of a deployment, nor for an unknown model", () => {
    const azure = provider("https://x.openai.azure.com/openai/v1", ["models: [{id: gpt-4}]"]);
    expect(modelOf(azure)?.capabilities).toBeUndefined();
    expect(modelOf(provider("http://127.0.0.1:1/v1", ["models: [{id: gpt-4}]"]))?.capabilities).toBeUndefined();
  });
});
