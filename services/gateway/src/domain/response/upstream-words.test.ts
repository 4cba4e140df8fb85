import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { describeWords, readErrorBody, type UpstreamWords } from "./upstream-words.ts";

type Read = Omit<UpstreamWords, "labels">;
const BOM = "\u{FEFF}";

/** Bodies of errors as upstreams send them, a row a shape, and what is read of each. */
const SHAPES: readonly (readonly [name: string, body: unknown, read: Read])[] = [
  [
    "OpenAI",
    {
      error: { message: "too long", type: "invalid_request_error", param: "messages", code: "context_length_exceeded" },
    },
    { message: "too long", type: "invalid_request_error", param: "messages", code: "context_length_exceeded" },
  ],
  [
    "Gemini, a list",
    [{ error: { code: 400, message: "bad role", status: "INVALID_ARGUMENT" } }],
    { message: "bad role", type: "INVALID_ARGUMENT", code: "400", status: 400 },
  ],
  [
    "Gemini with a wait",
    {
      error: {
        code: 429,
        message: "slow down",
        status: "RESOURCE_EXHAUSTED",
        details: [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "34.07s" }],
      },
    },
    { message: "slow down", type: "RESOURCE_EXHAUSTED", code: "429", status: 429, retryAfterSecs: 34.07 },
  ],
  [
    "Anthropic",
    { type: "error", error: { type: "overloaded_error", message: "Overloaded" }, request_id: "req_1" },
    { message: "Overloaded", type: "overloaded_error" },
  ],
  [
    "FastAPI",
    { detail: [{ loc: ["body", "messages", 0, "role"], msg: "field required", type: "missing" }] },
    { message: "messages.0.role: field required", param: "messages.0.role" },
  ],
  [
    "FastAPI, several",
    {
      detail: [
        { loc: ["body", "n"], msg: "too large" },
        { loc: ["body", "stop"], msg: "too long" },
      ],
    },
    { message: "n: too large; stop: too long", param: "n" },
  ],
  [
    "Mistral",
    {
      object: "error",
      message: { detail: [{ loc: ["body", "top_p"], msg: "above 1" }] },
      type: "invalid_request_error",
    },
    { message: "top_p: above 1", type: "invalid_request_error", param: "top_p" },
  ],
  ["a detail in words", { detail: "Not Found" }, { message: "Not Found" }],
  [
    "vLLM",
    { object: "error", message: "max_tokens is too large", type: "BadRequestError", param: null, code: 400 },
    { message: "max_tokens is too large", type: "BadRequestError", code: "400", status: 400 },
  ],
  [
    "Cloudflare",
    { success: false, errors: [{ code: 5007, message: "no such model" }] },
    { message: "no such model", code: "5007" },
  ],
  ["a list of texts", { errors: ["one", "two"] }, { message: "one; two" }],
  [
    "errors by field",
    { errors: { model: ["is unknown"], n: "is large" } },
    { message: "model: is unknown; n: is large", param: "model" },
  ],
  ["OAuth", { error: "invalid_grant", error_description: "expired" }, { message: "expired", code: "invalid_grant" }],
  ["TGI", { error: "input too long", error_type: "validation" }, { message: "input too long", type: "validation" }],
  ["Ollama", { error: "model 'x' not found" }, { message: "model 'x' not found" }],
  [
    "Azure",
    {
      error: {
        message: "filtered",
        code: "content_filter",
        innererror: { code: "ResponsibleAIPolicyViolation", content_filter_result: {} },
      },
    },
    { message: "filtered: ResponsibleAIPolicyViolation", code: "content_filter" },
  ],
  [
    "OpenRouter",
    {
      error: {
        message: "Provider returned error",
        code: 400,
        metadata: { raw: '{"error":{"message":"bad schema","code":"invalid_schema"}}', provider_name: "x" },
      },
    },
    { message: "Provider returned error: bad schema", code: "invalid_schema", status: 400 },
  ],
  ["AWS", { __type: "ThrottlingException", Message: "slower" }, { message: "slower", type: "ThrottlingException" }],
  ["JSON in a text", { error: '{"error":{"message":"inner","code":7}}' }, { message: "inner", code: "7" }],
  [
    "a problem document",
    { type: "about:blank", title: "Bad request", status: 400, detail: "no model" },
    { message: "Bad request: no model", status: 400 },
  ],
  ["a message and a number", { message: "gone", code: 410 }, { message: "gone", code: "410", status: 410 }],
  ["an event of a stream", 'event: error\ndata: {"error":{"message":"inner"}}\n\n', { message: "inner" }],
  ["plain text", "upstream connect error\r\n\u001b[31mreset", { message: "upstream connect error [31mreset" }],
  [
    "HTML",
    "<html><head><title>502 Bad &amp; Gateway</title></head><body>nginx</body></html>",
    { message: "502 Bad & Gateway" },
  ],
  ["HTML without a title", "<!doctype html><p>secret</p>", {}],
  [
    "XML",
    '<?xml version="1.0"?><Error><Code>Denied</Code><Message>no</Message></Error>',
    { message: "no", code: "Denied" },
  ],
  [
    "truncated JSON",
    '{"error":{"message":"too \\"long\\" \\u00e9","code":4,"x":"',
    { message: 'too "long" é', code: "4" },
  ],
  ["a byte order mark", `${BOM}{"error":{"message":"marked"}}`, { message: "marked" }],
  ["nothing", "", {}],
  ["null", "null", {}],
  ["a JSON text", '"it did \\"not\\" work"', { message: 'it did "not" work' }],
  ["an empty object", {}, {}],
];

function read(body: unknown): Read {
  const { labels: _, ...words } = readErrorBody(Buffer.from(typeof body === "string" ? body : JSON.stringify(body)));
  return words;
}

describe("the words of an upstream's error", () => {
  it.each(SHAPES)("are read from %s", (_, body, expected) => {
    expect(read(body)).toEqual(expected);
  });

  it("are read from bytes that are not UTF-8, and left out where most are not", () => {
    const body = Buffer.concat([Buffer.from('{"error":{"message":"caf'), Buffer.from([0xe9]), Buffer.from('"}}')]);
    expect(readErrorBody(body)).toMatchObject({ message: "caf\u{FFFD}" });
    expect(readErrorBody(Buffer.from(Array.from({ length: 500 }, (_, at) => 0x80 + (at % 0x40))))).toEqual({
      labels: [],
    });
  });

  it("are bounded, of one line, and well-formed, whatever the body is", () => {
    const bodies = fc.oneof(
      fc.uint8Array({ maxLength: 5_000 }).map((bytes) => Buffer.from(bytes)),
      fc.json().map((json) => Buffer.from(`{"error":${json}}`)),
      fc
        .string({ unit: "binary", minLength: 1_900, maxLength: 2_100 })
        .map((text) => Buffer.from(JSON.stringify({ error: { message: text, code: text, type: text, param: text } }))),
    );
    fc.assert(
      fc.property(bodies, (body) => {
        const { message = "", code = "", type = "", param = "" } = readErrorBody(body);
        expect(message.length).toBeLessThanOrEqual(2_000);
        for (const text of [code, type, param]) expect(text.length).toBeLessThanOrEqual(200);
        for (const text of [message, code, type, param]) {
          expect(text).not.toMatch(/\p{Cc}/u);
          expect(text.isWellFormed()).toBe(true);
        }
      }),
    );
  });

  it("take bounded time, however the body is nested or truncated", () => {
    const deep = (levels: number): string => `${'{"error":'.repeat(levels)}"x"${"}".repeat(levels)}`;
    for (const body of [
      deep(60),
      deep(5_000),
      "[".repeat(200_000),
      `{"error":"${"\\".repeat(200_000)}`,
      "<".repeat(200_000),
    ]) {
      expect(() => readErrorBody(Buffer.from(body))).not.toThrow();
    }
  });

  it.each([
    ["Rate limit reached for gpt-4o in organization org-AbC123def456 on tokens", /org-A/],
    ["Incorrect API key provided: sk-proj-****wxyz", /sk-p/],
    ["no deployment at https://acme-east.openai.azure.com/openai/deployments/x", /acme/],
    ["failed: http://10.1.2.3:8000/v1/chat and http://vllm:8000/v1", /10\.1|vllm/],
    ["connect ECONNREFUSED 10.0.0.7:443", /10\.0/],
    ["arn:aws:bedrock:us-east-1:123456789012:model/x is not allowed", /123456789012/],
    ["Quota of project number 998877665544 is exceeded", /998877/],
  ])("do not tell the client about the operator's account or network: %s", (message, secret) => {
    expect(read({ error: { message } }).message).not.toMatch(secret);
    expect(read({ error: { message } }).message).toContain("[redacted]");
  });

  it("keep public addresses, versions and names", () => {
    const message = "see https://platform.openai.com/docs/errors; skeleton-key gpt-4o-2024-08-06 user-defined 1.2.3";
    expect(read({ error: { message } }).message).toBe(message);
  });

  it("are recorded with their code, once", () => {
    const wordsOf = (error: object) => describeWords(readErrorBody(Buffer.from(JSON.stringify({ error }))));
    expect(wordsOf({ message: "no", code: 7 })).toBe("no (7)");
    expect(wordsOf({ message: "no: c", code: "c" })).toBe("no: c");
    expect(wordsOf({ code: "c" })).toBe("c");
    expect(wordsOf({})).toBeUndefined();
  });
});
