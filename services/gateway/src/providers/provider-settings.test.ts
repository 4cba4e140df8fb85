import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { defaultOutputTokensOf } from "./provider-defaults.ts";
import { loadProviders, type Provider } from "./providers.ts";

const folder = mkdtempSync(join(tmpdir(), "routeplane-settings-"));
afterAll(() => rmSync(folder, { recursive: true }));

const VARIABLES: Readonly<Record<string, string>> = { KEY: "sk-key-0123456789", EXTRA: "extra-secret-1" };

function load(text: string): readonly Provider[] {
  const file = join(folder, "providers.yaml");
  writeFileSync(file, text);
  const variable = (name: string): string | undefined => VARIABLES[name];
  return loadProviders({ file, echo: false, openAiApiKey: undefined, variable });
}

/** Providers file with these lines in its provider, on line 6 and after, and these in its second model. */
const fileWith = (lines: string, modelLines = "", baseUrl = "http://127.0.0.1:1/v1"): string =>
  `providers:
  - name: here
    protocol: openai
    base_url: ${baseUrl}
    api_key_env: KEY
${lines}
    models:
      - id: plain
      - id: special
${modelLines}
`;

const upstreamOf = (text: string) => {
  const upstream = load(text)[0]?.upstream;
  return upstream === undefined || upstream === "echo" ? expect.fail("no upstream") : upstream;
};

describe("settings of requests", () => {
  it("of a provider hold for its models, and those of a model come first", () => {
    const lines = `    usage_in_streams: never
    output_field: max_completion_tokens
    default_output_tokens: 9000
    tokenizer: o200k_base`;
    const own = `        usage_in_streams: ask
        output_field: max_tokens
        default_output_tokens: 10
        tokenizer: cl100k_base`;
    expect(load(fileWith(lines, own))[0]?.models).toMatchObject([
      {
        usageInStreams: "never",
        outputField: "max_completion_tokens",
        renamesOutputField: true,
        defaultOutputTokens: 9000,
        tokenizer: "o200k_base",
      },
      {
        usageInStreams: "ask",
        outputField: "max_tokens",
        renamesOutputField: true,
        defaultOutputTokens: 10,
        tokenizer: "cl100k_base",
      },
    ]);
  });

  it.each([
    ["https://api.openai.com/v1", "max_completion_tokens", true, "authorization"],
    ["https://eu.api.openai.com/v1", "max_completion_tokens", true, "authorization"],
    ["https://me.openai.azure.com/openai/v1", "max_completion_tokens", true, "api-key"],
    ["https://me.cognitiveservices.azure.com/openai/v1", "max_completion_tokens", true, "api-key"],
    ["https://me.services.ai.azure.com/openai/v1", "max_completion_tokens", true, "api-key"],
    ["https://openai.azure.com.example.com/v1", "max_tokens", false, "authorization"],
    ["http://127.0.0.1:1/v1", "max_tokens", false, "authorization"],
  ])("are by default those of the API at %s", (baseUrl, outputField, renamesOutputField, apiKeyHeader) => {
    const text = fileWith("", "", baseUrl);
    expect(load(text)[0]?.models[0]).toMatchObject({ outputField, renamesOutputField });
    expect(upstreamOf(text)).toMatchObject({ apiKeyHeader });
  });

  it("give models that reason a larger output bound", () => {
    for (const id of ["o3", "openai/o4-mini", "my-o1-deployment", "gpt-5-mini", "DeepSeek-R1", "deepseek-reasoner"]) {
      expect([id, defaultOutputTokensOf(id)]).toEqual([id, 25_000]);
    }
    for (const id of ["claude-opus-5", "anthropic/claude-sonnet-4-5", "claude-4-sonnet", "claude-haiku-4.5"]) {
      expect([id, defaultOutputTokensOf(id)]).toEqual([id, 16_000]);
    }
    for (const id of ["claude-3-haiku-20240307", "claude-3-5-haiku-latest", "claude-2"]) {
      expect([id, defaultOutputTokensOf(id)]).toEqual([id, 4096]);
    }
    for (const id of ["gpt-4o", "gpt-4-turbo", "gpt-5-chat-latest", "grok-4-fast-non-reasoning", "llama3", "foo1"]) {
      expect([id, defaultOutputTokensOf(id)]).toEqual([id, 4096]);
    }
  });
});

describe("settings of an upstream that speaks the wire of Anthropic", () => {
  it.each(["usage_in_streams: never", "output_field: max_tokens"])(
    "are refused by line and field where they have no effect: %s",
    (line) => {
      const anthropic = (text: string) => text.replace("protocol: openai", "protocol: anthropic");
      expect(() => load(anthropic(fileWith(`    ${line}`)))).toThrow(
        /providers\.yaml:6: .*has no effect with protocol: anthropic/,
      );
      expect(() => load(anthropic(fileWith("", `        ${line}`)))).toThrow(/providers\.yaml:10: .*has no effect/);
      expect(() => load(fileWith(`    ${line}`))).not.toThrow();
    },
  );
});

describe("settings of calls", () => {
  it("of a provider hold for its models, and a model adds its own", () => {
    writeFileSync(join(folder, "token"), "from-a-file\n");
    const lines = `    api_key_header: X-Api-Key
    headers: {X-Team: a b, X-Extra: {env: EXTRA}, X-Number: 1.0}
    query: {api-version: 2024-10-21, sig: {file: token}}
    timeouts: {connect_ms: 1000, head_ms: 2000}`;
    const own = "        headers: {x-team: c}\n        query: {deployment: a&b}\n        timeouts: {idle_ms: 3000}";
    const { apiKeyHeader, call, callOf } = upstreamOf(fileWith(lines, own));
    expect(apiKeyHeader).toBe("x-api-key");
    expect(call).toMatchObject({
      headers: { "x-team": "a b", "x-extra": "extra-secret-1", "x-number": "1.0" },
      query: "api-version=2024-10-21&sig=from-a-file",
      timeouts: { connectMs: 1_000, headMs: 2_000 },
    });
    expect([...(callOf ?? [])]).toMatchObject([
      [
        "special",
        {
          headers: { "x-team": "c", "x-extra": "extra-secret-1" },
          query: "api-version=2024-10-21&sig=from-a-file&deployment=a%26b",
          timeouts: { connectMs: 1_000, headMs: 2_000, idleMs: 3_000 },
        },
      ],
    ]);
  });

  it("are redacted where they are secrets: from the environment, from files, and under names of credentials", () => {
    writeFileSync(join(folder, "token"), "from-a-file");
    const lines = `    headers: {x-a: {env: EXTRA}, x-b: {file: token}, x-auth: Basic bGl0ZXJhbA==, x-team: plain-words}`;
    const own = "        query: {api_key: of-the-model}";
    const secretsOf = load(fileWith(lines, own)).flatMap((provider) => provider.secrets);
    const secrets = ["sk-key-0123456789", "extra-secret-1", "from-a-file", "bGl0ZXJhbA==", "of-the-model"];
    expect(secretsOf).toEqual(expect.arrayContaining(secrets));
    expect(secretsOf).not.toContain("plain-words");
  });

  it.each([
    ["headers: {Host: x}", /headers\.Host: is a header that the gateway sets itself/],
    ["headers: {Content-Length: 1}", /gateway sets itself/],
    ["headers: {transfer-encoding: chunked}", /gateway sets itself/],
    ["headers: {Connection: close}", /gateway sets itself/],
    ["headers: {proxy-authorization: x}", /gateway sets itself/],
    ["headers: {accept-encoding: gzip}", /gateway sets itself/],
    ["headers: {authorization: x}", /headers\.authorization: carries the key/],
    ["headers: {a b: x}", /is not the name of a header/],
    ["headers: {x-a: 1, X-A: 2}", /headers\.X-A: is given twice/],
    ['headers: {x-a: "a\\r\\nb: c"}', /headers\.x-a: must be a text: 1 to 4,096 printable/],
    ["headers: {x-a: {}}", /must be a text, \{env: NAME\} or \{file: path\}/],
    ["headers: {x-a: {env: NOT_SET}}", /headers\.x-a\.env: the environment variable NOT_SET is not set/],
    ["headers: {x-a: {file: none}}", /headers\.x-a\.file: cannot be read \(ENOENT\)/],
    ["headers: {x-a: {env: A, file: b}}", /together with env/],
    ["headers: {x-a: {url: b}}", /headers\.x-a\.url: unknown field/],
    ["headers: [a]", /headers: must be a map/],
    ["query: {a b: x}", /query\.a b: must have a name/],
    ["query: {a: }", /query\.a: must be a text/],
    ["timeouts: {head_ms: 600001}", /head_ms: must be at most 600000: a request is ended after that time/],
    ["timeouts: {idle_ms: 3600000}", /idle_ms: must be at most 600000/],
    ["timeouts: {connect_ms: 0}", /connect_ms: must be a whole number from 1 to 60000/],
    ["timeouts: {connect_ms: 1.5}", /connect_ms: must be a whole number/],
    ["timeouts: {total_ms: 1}", /timeouts\.total_ms: unknown field/],
    ["api_key_header: host", /api_key_header: is a header that the gateway sets itself/],
    ["usage_in_streams: always", /usage_in_streams: must be ask or never/],
    ["output_field: max_new_tokens", /output_field: must be max_tokens or max_completion_tokens/],
    ["default_output_tokens: 0", /default_output_tokens: must be a whole number from 1 to 1000000/],
    ["tokenizer: p50k", /tokenizer: must be o200k_base or cl100k_base/],
  ])("with a fault are refused by line and field: %s", (line, message) => {
    const text = fileWith(`    ${line}`);
    expect(() => load(text)).toThrow(message);
    expect(() => load(text)).toThrow(/providers\.yaml:6: /);
    if (!line.startsWith("api_key_header")) {
      expect(() => load(fileWith("", `        ${line}`))).toThrow(/providers\.yaml:10: .*models\[1\]/);
    }
  });
});
