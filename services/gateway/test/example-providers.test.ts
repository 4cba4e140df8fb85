import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { loadProviders } from "../src/providers/providers.ts";

const EXAMPLE = join(import.meta.dirname, "../../../examples/providers.yaml");
const folder = mkdtempSync(join(tmpdir(), "routeplane-example-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, "providers.yaml");
for (const name of ["azure-key", "llm-signature"]) writeFileSync(join(folder, name), `secret-of-${name}`);

function load() {
  const variables: Readonly<Record<string, string>> = {
    OPENAI_API_KEY: "sk-openai-key",
    ANTHROPIC_API_KEY: "sk-anthropic-key",
    LLM_TENANT_TOKEN: "tenant-token",
  };
  return loadProviders({ file, echo: false, openAiApiKey: undefined, variable: (name) => variables[name] });
}

it("the example of a providers file is loaded as its comments say", () => {
  copyFileSync(EXAMPLE, file);
  const [openai, anthropic, azure, internal] = load();
  expect(openai?.models.length).toBeGreaterThan(10);
  expect(openai?.models[0]).toMatchObject({ fallback: ["anthropic/claude-sonnet-5"], retries: 1 });
  expect(anthropic).toMatchObject({ protocol: "anthropic", upstream: { apiKeyHeader: "x-api-key" } });
  expect(azure?.models).toMatchObject([
    {
      aliases: ["chat-default"],
      deployments: [
        { provider: "azure", id: "gpt-4o", weight: 3 },
        { provider: "internal", id: "chat-large", weight: 1 },
      ],
    },
  ]);
  expect(azure?.upstream).toMatchObject({ apiKeyHeader: "api-key", call: { query: "api-version=2024-10-21" } });
  const facts = { contextTokens: 131_072, capabilities: { images: false }, wires: new Set(["chat", "responses"]) };
  expect(internal?.models).toMatchObject([facts, facts]);
  expect(internal?.models).toMatchObject([
    { id: "chat-large", outputField: "max_completion_tokens", defaultOutputTokens: 25_000, usageInStreams: "never" },
    { id: "chat-small", outputField: "max_tokens", defaultOutputTokens: 8_192, usageInStreams: "never" },
  ]);
  expect(internal?.secrets).toEqual(expect.arrayContaining(["tenant-token", "secret-of-llm-signature"]));
});

it.each([
  ["a provider", "  - name: internal", "  - unknown: 1\n    name: internal"],
  ["a model", "      - id: chat-large", "      - unknown: 1\n        id: chat-large"],
  ["time-outs", "timeouts: { connect_ms", "timeouts: { unknown: 1, connect_ms"],
  ["a price", "          reasoning_usd_per_mtok", "          unknown: 1\n          reasoning_usd_per_mtok"],
])("the example has every setting of %s", (_, text, replacement) => {
  const example = readFileSync(EXAMPLE, "utf8");
  writeFileSync(file, example.replace(text, replacement));
  const known = /unknown field; known here: (.+)$/;
  const message = (() => {
    try {
      load();
    } catch (error) {
      return String(error);
    }
    return expect.fail("the unknown setting is taken");
  })();
  const names = known.exec(message)?.[1]?.split(", ") ?? [];
  expect(names.length).toBeGreaterThan(2);
  expect(names.filter((name) => !new RegExp(`\\b${name}:`).test(example))).toEqual([]);
});
