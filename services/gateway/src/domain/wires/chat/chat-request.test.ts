import { describe, expect, it } from "vitest";
import { parseRequest } from "../../request/parse-request.ts";
import { CHAT } from "./chat-wire.ts";
import type { Refusal } from "../../errors/refusal.ts";

const MESSAGES = [{ role: "user", content: "hi" }];
const NEVER = new AbortController().signal;

function parse(body: unknown) {
  return parseRequest(CHAT, Buffer.from(typeof body === "string" ? body : JSON.stringify(body)), NEVER);
}

async function refusalOf(body: unknown) {
  const refusal = await parse(body).then(
    () => undefined,
    (error: Refusal) => error,
  );
  return refusal;
}

describe("parseInferenceRequest", () => {
  it.each([
    ["model", { messages: MESSAGES }],
    ["model", { model: 4, messages: MESSAGES }],
    ["model", { model: "  ", messages: MESSAGES }],
    ["model", { model: "x".repeat(300), messages: MESSAGES }],
    ["messages", { model: "m" }],
    ["messages", { model: "m", messages: [] }],
    ["messages", { model: "m", messages: "hi" }],
    ["messages[1]", { model: "m", messages: [{}, "hi"] }],
    ["n", { model: "m", messages: MESSAGES, n: 0 }],
    ["n", { model: "m", messages: MESSAGES, n: 129 }],
    ["n", { model: "m", messages: MESSAGES, n: 1.5 }],
    ["max_tokens", { model: "m", messages: MESSAGES, max_tokens: -1 }],
    ["max_tokens", { model: "m", messages: MESSAGES, max_tokens: 0 }],
    ["max_tokens", { model: "m", messages: MESSAGES, max_tokens: "10" }],
    ["max_completion_tokens", { model: "m", messages: MESSAGES, max_completion_tokens: 2.5 }],
    ["max_tokens", { model: "m", messages: MESSAGES, max_tokens: 1, max_completion_tokens: 1 }],
    ["stream", { model: "m", messages: MESSAGES, stream: "yes" }],
    ["stream_options", { model: "m", messages: MESSAGES, stream_options: {} }],
    ["stream_options", { model: "m", messages: MESSAGES, stream: true, stream_options: [] }],
    [
      "stream_options.include_usage",
      { model: "m", messages: MESSAGES, stream: true, stream_options: { include_usage: 1 } },
    ],
  ])("refuses a bad %s by name: %j", async (param, body) => {
    expect(await refusalOf(body)).toMatchObject({ status: 400, type: "invalid_request_error", param });
  });

  it.each(["", "{", "[]", "null", '"text"', '{"model":"m",}'])(
    "refuses a body that is no JSON object: %s",
    async (body) => {
      expect(await refusalOf(body)).toMatchObject({ status: 400, code: "invalid_body" });
    },
  );

  it.each([
    ["nested deeper than 64 levels", `"stream":true,"stream_options":{"a":${"[".repeat(5_000)}${"]".repeat(5_000)}}`],
    ["nested deeper than 64 levels", `"x":${'{"a":'.repeat(64)}1${"}".repeat(64)}`],
    ["more than 1000 members", Array.from({ length: 1_000 }, (_, index) => `"m${index}":1`).join()],
    ["more than 100000 values", `"x":[${"[],".repeat(100_000)}[]]`],
  ])("refuses a body that is complex beyond the bounds: %s", async (rule, member) => {
    const refused = refusalOf(`{"model":"m","messages":[{}],${member}}`);
    expect(await refused).toMatchObject({ status: 400, code: "invalid_body", message: expect.stringContaining(rule) });
  });

  it("refuses a body that is not UTF-8", async () => {
    await expect(parseRequest(CHAT, Buffer.from([0x7b, 0xff, 0x7d]), NEVER)).rejects.toThrow("not UTF-8");
  });

  it("refuses members that another parser could read differently", async () => {
    const twice = '{"model":"cheap","messages":[{}],"model":"dear"}';
    expect(await refusalOf(twice)).toMatchObject({ status: 400, param: "model" });
    const otherCase = { model: "m", messages: MESSAGES, max_tokens: 1, Max_Tokens: 100_000 };
    expect(await refusalOf(otherCase)).toMatchObject({ status: 400, param: "max_tokens" });
  });

  it("takes null for absent, as the SDKs send it", async () => {
    const nulls = { n: null, max_tokens: null, stream: null, stream_options: null };
    expect(await parse({ model: "m", messages: MESSAGES, ...nulls })).toMatchObject({
      choices: 1,
      output: undefined,
      streamed: false,
    });
  });

  it("clamps an absurd output bound instead of refusing it", async () => {
    for (const absurd of [1e12, 1e300]) {
      const { output } = await parse({ model: "m", messages: MESSAGES, max_tokens: absurd });
      expect(output?.bounded).toBe(1_000_000);
    }
  });
});

describe("a large body", () => {
  /** JSON of more than 256 KiB, which is read by its outline. */
  const large = (content: string, rest = ""): string =>
    `{ "model" : "m",   "messages":[{"role":"user","content":${JSON.stringify(content)}}],"stream":true${rest} }`;

  it.each([
    ["of ASCII", "x".repeat(400_000)],
    ["of escapes", '\n"\\'.repeat(150_000)],
    ["of other characters", "é中😀".repeat(50_000)],
  ])("%s is read as JSON.parse reads it, and its members are where the text has them", async (_, content) => {
    const body = large(content, ',"max_tokens":7,"user":"é"');
    const request = await parse(body);
    expect(request).toMatchObject({ model: "m", streamed: true, output: { field: "max_tokens", requested: 7 } });
    const expected = JSON.parse(body) as Record<string, unknown>;
    for (const { key, nameStart, start, end } of request.members) {
      const text = body.slice(start, end);
      expect(JSON.stringify(JSON.parse(text)) === JSON.stringify(expected[key])).toBe(true);
      expect(body.slice(nameStart, nameStart + key.length + 2)).toBe(`"${key}"`);
    }
    expect(request.members.map(({ key }) => key)).toEqual(Object.keys(expected));
  });

  it.each(['"stream":1}', '"Model":"x"}', '"model":"x"}', "}", '"x":"a\tb"}', '"x":"\\u12"}', '"x":01}'])(
    "is refused as a small one is: %s",
    async (end) => {
      const [small, big] = ["hi", "x".repeat(400_000)].map(
        (content) => `${large(content).slice(0, -'"stream":true }'.length)}${end}`,
      );
      const refusal = await refusalOf(small);
      expect(refusal?.status).toBe(400);
      const { message, param } = (await refusalOf(big)) ?? {};
      expect({ message, param }).toEqual({ message: refusal?.message, param: refusal?.param });
    },
  );
});

describe("a byte order mark", () => {
  it("is removed from the body that is sent upstream", async () => {
    const body = JSON.stringify({ model: "m", messages: MESSAGES });
    const request = await parse(`\ufeff${body}`);
    expect(Buffer.from(request.bytes).toString()).toBe(body);
    expect(request.text).toBe(body);
  });

  it("of UTF-16 is refused by name", async () => {
    const bytes = Buffer.from(`\ufeff${JSON.stringify({ model: "m", messages: MESSAGES })}`, "utf16le");
    await expect(parseRequest(CHAT, bytes, NEVER)).rejects.toThrow("the request body is UTF-16 or UTF-32: send UTF-8");
  });
});
