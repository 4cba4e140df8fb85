import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadProviders } from "./providers.ts";
import { parseProvidersFile } from "./providers-file.ts";

const GOOD = `providers:
  - name: openai
    protocol: openai
    base_url: https://api.openai.com/v1
    api_key_env: SOME_KEY
    models:
      - id: gpt-4o-mini
        price: {input_usd_per_mtok: 0.15, output_usd_per_mtok: 0.60}
      - id: gpt-4o
      - id: nobody-knows-me
`;

const lineOf = (text: string, wanted: string): number =>
  text.split("\n").findIndex((line) => line.includes(wanted)) + 1;

const folder = mkdtempSync(join(tmpdir(), "routeplane-providers-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(text: string): string {
  const path = join(mkdtempSync(join(folder, "case-")), "providers.yaml");
  writeFileSync(path, text);
  return path;
}

function load(text: string | undefined, more: Partial<Parameters<typeof loadProviders>[0]> = {}) {
  return loadProviders({
    file: text === undefined ? undefined : file(text),
    echo: false,
    openAiApiKey: undefined,
    variable: (name) => ({ SOME_KEY: "sk-some", BAD_KEY: "sk-some more" })[name],
    ...more,
  });
}

describe("a providers file", () => {
  it("gives models with exact prices: the file's, else the catalogue's, else the default", () => {
    const [openai] = load(GOOD);
    expect(openai).toMatchObject({
      name: "openai",
      upstream: { apiKey: "sk-some" },
      models: [
        { id: "gpt-4o-mini", prices: [{ price: { inputPicoUsd: 150_000n, outputPicoUsd: 600_000n } }] },
        { id: "gpt-4o", prices: [{ price: { inputPicoUsd: 2_500_000n, outputPicoUsd: 10_000_000n } }] },
        { id: "nobody-knows-me", prices: [{ price: { inputPicoUsd: 10_000_000n, outputPicoUsd: 30_000_000n } }] },
      ],
      unpriced: ["nobody-knows-me"],
    });
  });

  it.each<[string, string, string, string, RegExp]>([
    [
      "an unknown field",
      "    protocol: openai",
      "    protocoll: openai",
      "protocoll",
      /providers\[0\]\.protocoll: unknown/,
    ],
    [
      "an unknown field of a model",
      "      - id: gpt-4o\n",
      "      - id: gpt-4o\n        cost: 1\n",
      "cost",
      /models\[1\]\.cost/,
    ],
    ["an unknown field at the top", "providers:\n", "provider: 1\nproviders:\n", "provider: 1", /provider: unknown/],
    ["a missing field", "    base_url: https://api.openai.com/v1\n", "", "- name", /base_url: is required/],
    ["another scheme", "https://api", "ftp://api", "base_url", /base_url: must be a URL that starts http/],
    ["credentials in the URL", "https://api", "https://a:b@api", "base_url", /must not hold credentials/],
    ["a key in the URL", "com/v1", "com/v1?key=1", "base_url", /query/],
    ["an unknown protocol", "protocol: openai", "protocol: soap", "protocol", /must be openai or anthropic/],
    ["a negative price", "0.15", "-0.15", "price", /input_usd_per_mtok: must be a number from 0/],
    ["a price in words", "0.15", "cheap", "price", /input_usd_per_mtok/],
    ["half a price", "input_usd_per_mtok: 0.15, ", "", "price", /input_usd_per_mtok: is required/],
    ["an infinite price", "0.15", ".inf", "price", /input_usd_per_mtok/],
    ["a variable that holds no key", "SOME_KEY", "BAD_KEY", "BAD_KEY", /BAD_KEY must hold one key, printable/],
    ["two keys", "SOME_KEY", "SOME_KEY\n    api_key_file: x", "api_key_file", /together/],
    [
      "a key file that is not there",
      "api_key_env: SOME_KEY",
      "api_key_file: none",
      "api_key_file",
      /cannot be read \(ENOENT\)/,
    ],
    ["a model twice", "id: nobody-knows-me", "id: GPT-4o", "id: GPT-4o", /"gpt-4o" is given twice/],
    ["a bad name", "name: openai", "name: Open AI", "name", /providers\[0\]\.name/],
    ["no list", "providers:\n", "providers: {}\nx:\n", "x:", /x: unknown field/],
    ["a field twice", "    protocol: openai", "    protocol: openai\n    protocol: openai", "base_url", /unique/],
    ["text that is no YAML", "models:", "models: [", "base_url", /./],
  ])("with %s is refused by file, line and field", (_, text, replacement, marker, message) => {
    const broken = GOOD.replace(text, replacement);
    expect(() => load(broken)).toThrow(message);
    expect(() => load(broken)).toThrow(/providers\.yaml:\d+: /);
    expect(() => load(broken)).not.toThrow(/sk-some/);
    if (!["unique", "."].includes(message.source)) {
      expect(() => load(broken)).toThrow(new RegExp(`providers\\.yaml:${lineOf(broken, marker)}: `));
    }
  });

  it("names a provider that is described twice", () => {
    const twice = GOOD + GOOD.replace("providers:\n", "");
    expect(() => parseProvidersFile("f.yaml", twice, "charge")).toThrow(
      'f.yaml:11: providers[1].name: "openai" is given twice',
    );
  });

  it("that cannot be read is refused by its path", () => {
    expect(() => load(undefined, { file: "/does/not/exist.yaml" })).toThrow(/exist\.yaml cannot be read \(ENOENT\)/);
  });

  it("may name a variable that is not set: its models are there, unavailable, and say which", () => {
    const [openai] = load(GOOD.replace("SOME_KEY", "NO_KEY"));
    expect(openai?.upstream).toMatchObject({ apiKey: undefined });
    expect(openai?.models.map(({ unavailable }) => unavailable)).toEqual(
      Array.from({ length: 3 }, () => ({ variable: "NO_KEY" })),
    );
    expect(load(GOOD)[0]?.models.map(({ unavailable }) => unavailable)).toEqual([undefined, undefined, undefined]);
  });

  it("may describe an upstream that speaks Anthropic's wire, with its headers", () => {
    const anthropic = (lines: string) =>
      load(
        `providers:\n  - name: a\n    protocol: anthropic\n    base_url: https://api.anthropic.com/v1\n    api_key_env: SOME_KEY\n${lines}`,
      )[0];
    const headers = { "anthropic-version": "2023-06-01" };
    const upstream = { apiKey: "sk-some", apiKeyHeader: "x-api-key", call: { headers } };
    expect(anthropic("")).toMatchObject({ protocol: "anthropic", upstream });
    const own = anthropic("    headers: {Anthropic-Version: 2024-01-01}\n    api_key_header: authorization\n");
    expect(own?.upstream).toMatchObject({
      apiKeyHeader: "authorization",
      call: { headers: { "anthropic-version": "2024-01-01" } },
    });
  });

  it("may leave out the key of a local upstream, but not models that are not in the catalogue", () => {
    const local = "providers:\n  - name: local\n    protocol: openai\n    base_url: http://127.0.0.1:11434/v1\n";
    expect(() => load(local)).toThrow("providers.yaml:2: providers[0]: models: is required");
    expect(load(`${local}    models: [{id: qwen3}]\n`)).toMatchObject([{ upstream: { apiKey: undefined } }]);
  });
});

describe("allow_members and surcharges", () => {
  const withProvider = (lines: string) => GOOD.replace("    models:", `${lines}\n    models:`);
  const withModel = (lines: string) => GOOD.replace("      - id: gpt-4o\n", `      - id: gpt-4o\n${lines}\n`);
  const PRIORITY = "{member: Service_Tier, value: priority, price_factor: 2.5}";
  const SEARCH = "{member: web_search_options, usd_per_request: 0.025}";
  const rulesOf = (text: string) => load(text)[0]?.models.map(({ memberRules }) => memberRules) ?? [];

  it("of a provider apply to all its models, after those of the model itself", () => {
    const [mini, full] = rulesOf(
      withProvider(`    allow_members: [fallbacks, service_tier]\n    surcharges: [${PRIORITY}]`).replace(
        "      - id: gpt-4o\n",
        `      - id: gpt-4o\n        allow_members: [models, service_tier]\n        surcharges: [${SEARCH}]\n`,
      ),
    );
    expect([...(mini?.allowed ?? [])]).toEqual(["fallbacks", "service_tier"]);
    expect([...(full?.allowed ?? [])]).toEqual(["models", "service_tier", "fallbacks"]);
    const priority = { member: "service_tier", value: "priority", priceFactorPpm: 2_500_000n, requestPicoUsd: 0n };
    expect(mini?.surcharges).toEqual([priority]);
    const search = { member: "web_search_options", value: undefined, priceFactorPpm: 1_000_000n };
    expect(full?.surcharges).toEqual([{ ...search, requestPicoUsd: 25_000_000_000n }, priority]);
  });

  it("change the version of a model's prices where they are priced", () => {
    const versionsOf = (text: string) => load(text)[0]?.models.map(({ priceVersion }) => priceVersion);
    const plain = versionsOf(GOOD);
    expect(versionsOf(withProvider("    allow_members: [models]"))).toEqual(plain);
    const [, priced] = versionsOf(withModel(`        surcharges: [${PRIORITY}]`)) ?? [];
    expect(priced).toMatch(/^catalogue:[0-9a-f]{12}$/);
    expect(priced).not.toBe(plain?.[1]);
  });

  it.each([
    ["allow_members: [modalities]", /allow_members\[0\]: modalities is billed .* price it under surcharges/],
    ["allow_members: [tools]", /tools is billed/],
    ["allow_members: fallbacks", /must be a list/],
    ["allow_members: [5]", /allow_members\[0\]: must be a text/],
    ["surcharges: [{member: service_tier, value: priority}]", /needs price_factor, usd_per_request or both/],
    ["surcharges: [{member: service_tier, price_factor: -1}]", /price_factor: must be a number from 0/],
    ["surcharges: [{price_factor: 1}]", /member: is required/],
    ["surcharges: [{member: tools, usd_per_request: 1, per: call}]", /per: unknown field/],
  ])("with a fault are refused by line and field: %s", (line, message) => {
    expect(() => load(withProvider(`    ${line}`))).toThrow(message);
    expect(() => load(withProvider(`    ${line}`))).toThrow(/providers\.yaml:6: /);
    expect(() => load(withModel(`        ${line}`))).toThrow(message);
  });
});

describe("providers without a file", () => {
  it("are none, unless the environment switches them on", () => {
    expect(load(undefined)).toEqual([]);
    expect(load(undefined, { echo: true })).toMatchObject([{ name: "echo", models: [{ id: "echo" }] }]);
  });

  it("offer OpenAI's models of chat and embeddings at catalogue prices for OPENAI_API_KEY alone", () => {
    const [openai] = load(undefined, { openAiApiKey: "sk-x" });
    const ids = openai?.models.map(({ id }) => id) ?? [];
    expect(ids).toEqual(expect.arrayContaining(["gpt-4o-mini", "gpt-4o-mini-2024-07-18", "gpt-4.1", "o3"]));
    expect(ids.filter((id) => /whisper|tts|realtime|image|moderation/.test(id))).toEqual([]);
    expect(openai?.unpriced).toEqual([]);
    for (const { prices, wires } of openai?.models ?? []) {
      const isEmbedding = wires?.has("embeddings") === true;
      for (const { price } of prices) {
        expect(price.inputPicoUsd > 0n && price.outputPicoUsd > 0n === !isEmbedding).toBe(true);
      }
    }
    const embeddings = openai?.models.filter(({ wires }) => wires?.has("embeddings") === true);
    expect(embeddings?.map(({ id, prices: [{ price }] }) => [id, price.inputPicoUsd])).toEqual([
      ["text-embedding-3-large", 130_000n],
      ["text-embedding-3-small", 20_000n],
      ["text-embedding-ada-002", 100_000n],
    ]);
  });

  it("offer Anthropic's models, with the prices of its caches, for ANTHROPIC_API_KEY alone", () => {
    const [anthropic] = load(undefined, { anthropicApiKey: "sk-ant-x" });
    expect(anthropic).toMatchObject({
      name: "anthropic",
      protocol: "anthropic",
      upstream: {
        apiKey: "sk-ant-x",
        apiKeyHeader: "x-api-key",
        baseUrl: new URL("https://api.anthropic.com/v1"),
        call: { headers: { "anthropic-version": "2023-06-01" } },
      },
      secrets: ["sk-ant-x"],
      unpriced: [],
    });
    const ids = anthropic?.models.map(({ id }) => id) ?? [];
    expect(ids).toEqual(expect.arrayContaining(["claude-opus-5", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929"]));
    expect(ids).not.toContain("claude-3-5-sonnet");
    expect(anthropic?.models.every(({ wires }) => wires?.has("messages"))).toBe(true);
    expect(anthropic?.models.find(({ id }) => id === "claude-sonnet-4-5")?.prices).toEqual([
      {
        aboveInputTokens: 0,
        price: {
          inputPicoUsd: 3_000_000n,
          outputPicoUsd: 15_000_000n,
          cachedInputPicoUsd: 300_000n,
          cacheWritePicoUsd: 3_750_000n,
          hourCacheWritePicoUsd: 6_000_000n,
        },
      },
      {
        aboveInputTokens: 200_000,
        price: {
          inputPicoUsd: 6_000_000n,
          outputPicoUsd: 22_500_000n,
          cachedInputPicoUsd: 600_000n,
          cacheWritePicoUsd: 7_500_000n,
          hourCacheWritePicoUsd: 12_000_000n,
        },
      },
    ]);
  });

  it("are switched on by usable keys alone, and faults do not repeat them", () => {
    const faulty = () => load(undefined, { anthropicApiKey: "sk ant" });
    expect(faulty).toThrow("ANTHROPIC_API_KEY: must be printable and without blanks");
    expect(faulty).not.toThrow(/sk ant/);
  });

  it("leave OpenAI to a file that describes it, and echo to the gateway", () => {
    expect(load(GOOD, { openAiApiKey: "sk-x" })).toMatchObject([{ upstream: { apiKey: "sk-some" } }]);
    const echo = GOOD.replace("name: openai", "name: echo");
    expect(() => load(echo, { echo: true })).toThrow(/providers\[0\]\.name: is the built-in/);
  });
});

describe("the version of a price", () => {
  const versions = (text: string | undefined, more = {}) =>
    load(text, more).flatMap(({ models }) => models.map(({ id, priceVersion }) => [id, priceVersion]));

  it("names the source of the price, and changes exactly when the price does", () => {
    const before = new Map(versions(GOOD) as [string, string][]);
    expect([...before.values()]).toEqual([
      expect.stringMatching(/^file:[0-9a-f]{12}$/),
      expect.stringMatching(/^catalogue:[0-9a-f]{12}$/),
      expect.stringMatching(/^default:[0-9a-f]{12}$/),
    ]);
    const after = new Map(versions(GOOD.replace("0.15", "0.16")) as [string, string][]);
    expect(after.get("gpt-4o-mini")).not.toBe(before.get("gpt-4o-mini"));
    expect(after.get("gpt-4o")).toBe(before.get("gpt-4o"));
    expect(versions(undefined, { echo: true })).toEqual([["echo", expect.stringMatching(/^built-in:[0-9a-f]{12}$/)]]);
  });
});
