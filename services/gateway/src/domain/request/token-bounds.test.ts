import { describe, expect, it } from "vitest";
import { fakeTokenCounter } from "../../../test/fake-token-counter.ts";
import { parseRequest } from "./parse-request.ts";
import { CHAT } from "../wires/chat/chat-wire.ts";
import { boundTokens, DEFAULT_OUTPUT_TOKENS, tightenBounds, tightenEagerly } from "./token-bounds.ts";

const MESSAGES = [{ role: "user", content: "hi" }];
const GPT_4O = { id: "gpt-4o", tokenizer: "o200k_base" } as const;
const PROSE = "The gateway judges what a key may ask for. ".repeat(1_000);

function parse(body: object) {
  const whole = { model: "m", messages: MESSAGES, ...body };
  return parseRequest(CHAT, Buffer.from(JSON.stringify(whole)), new AbortController().signal);
}

const inputOf = async (body: object, model = {}) => boundTokens(await parse(body), model).inputTokensMax;

describe("the bound of the input", () => {
  it("grows with every text that a model may read, and with every byte of anything else", async () => {
    const base = await inputOf({});
    const secret = "qx".repeat(2_000);
    for (const more of [
      { messages: [{ role: "user", content: secret }] },
      { messages: [{ role: "user", content: [{ type: "text", text: secret }] }] },
      { messages: [{ role: secret, content: "hi" }] },
      { messages: [{ role: "user", content: "hi", name: secret }] },
      { messages: [{ role: "user", content: "hi", [secret]: 1 }] },
      { messages: [{ role: "user", content: "hi", unheard_of: { of: [secret] } }] },
      { messages: [{ role: "user", content: [{ type: "unheard_of", of: secret }] }] },
      { messages: [{ role: "user", content: [{ type: "text", text: "hi", cache_control: { type: secret } }] }] },
      {
        messages: [{ role: "assistant", tool_calls: [{ id: "c", type: "function", function: { arguments: secret } }] }],
      },
      { messages: [{ role: "assistant", tool_calls: [{ id: secret, type: "function", function: {} }] }] },
      {
        messages: [{ role: "assistant", content: null, reasoning_details: [{ type: "reasoning.text", text: secret }] }],
      },
      { messages: [{ role: "tool", tool_call_id: secret, content: "4" }] },
      { messages: [{ role: "user", content: [{ type: "text", text: "hi", [secret]: 1 }] }] },
      {
        messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "https://a", [secret]: null } }] }],
      },
      {
        messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "https://a", detail: secret } }] }],
      },
      { messages: [{ role: "user", content: [{ type: "input_audio", input_audio: { data: "", [secret]: 0 } }] }] },
      {
        messages: [
          { role: "assistant", tool_calls: [{ id: "c", type: "function", function: {}, index: { [secret]: 1 } }] },
        ],
      },
      { tools: [{ type: "function", function: { name: "f", parameters: { properties: { [secret]: {} } } } }] },
      { response_format: { type: "json_schema", json_schema: { name: secret } } },
      { unheard_of: secret },
      { [secret]: 1 },
      { stop: [secret] },
      { temperature: secret },
    ]) {
      expect(await inputOf(more), JSON.stringify(more).slice(0, 90)).toBeGreaterThanOrEqual(base + 3_900);
    }
  });

  it("does not grow with parameters, which no model reads", async () => {
    expect(await inputOf({ temperature: 0.5, max_tokens: 9, stream: false, seed: 1 })).toBe(await inputOf({}));
  });

  it("allows for the prompt that upstreams add to tools", async () => {
    const base = await inputOf({});
    expect((await inputOf({ tools: [{ type: "function", function: { name: "f" } }] })) - base).toBeGreaterThan(530);
    expect((await inputOf({ functions: [{ name: "f" }] })) - base).toBeGreaterThan(530);
    expect((await inputOf({ tools: [], functions: null })) - base).toBeLessThan(50);
  });

  it("has OpenAI's small template for its models, and a large one for any other", async () => {
    expect(await inputOf({}, GPT_4O)).toBeLessThan(30);
    expect(await inputOf({}, { id: "llama" })).toBeGreaterThan(128);
    expect(await inputOf({}, { id: "mine", tokenizer: "o200k_base" })).toBeGreaterThan(128);
  });

  it("stays within what the admission API accepts", async () => {
    const file = { type: "file", file: { file_id: "f" } };
    const content = Array.from({ length: 2_000 }, () => file);
    const bounds = boundTokens(await parse({ messages: [{ role: "user", content }] }));
    expect(bounds.inputTokensMax).toBe(1_000_000_000);
    expect((await tightenBounds(bounds, fakeTokenCounter())).inputTokensMax).toBe(1_000_000_000);
  });
});

describe("the bound of the output", () => {
  it("is multiplied by the choices, and has a default where the client gives none", async () => {
    const outputOf = async (more: object, model = {}) => boundTokens(await parse(more), model).outputTokensMax;
    expect(await outputOf({ max_tokens: 10, n: 3 })).toBe(30);
    expect(await outputOf({ max_completion_tokens: 7 })).toBe(7);
    expect(await outputOf({ n: 2 })).toBe(2 * DEFAULT_OUTPUT_TOKENS);
    expect(await outputOf({ n: 2 }, { defaultOutputTokens: 32_000 })).toBe(64_000);
  });
});

describe("tightening", () => {
  it("replaces the bound of the texts by their count, and nothing else", async () => {
    const bounds = boundTokens(await parse({ messages: [{ role: "user", content: PROSE }] }), GPT_4O);
    const counter = fakeTokenCounter(() => 9_000);
    const tight = await tightenBounds(bounds, counter);
    expect(bounds.inputTokensMax).toBeGreaterThan(40_000);
    expect(tight).toEqual({ inputTokensMax: 9_017, outputTokensMax: bounds.outputTokensMax });
    expect(await tightenBounds(tight, counter)).toEqual(tight);
    expect(counter.calls).toBe(1);
  });

  it("never loosens: a count that is more than the bound does not replace it", async () => {
    const bounds = boundTokens(await parse({}), GPT_4O);
    const { inputTokensMax } = await tightenBounds(
      bounds,
      fakeTokenCounter(() => 9_000),
    );
    expect(inputTokensMax).toBe(bounds.inputTokensMax);
  });

  it("is done at once where a loose bound would keep other requests out, and not for small requests", async () => {
    const counter = fakeTokenCounter(() => 9_000);
    await tightenEagerly(boundTokens(await parse({}), GPT_4O), counter);
    expect(counter.calls).toBe(0);
    await tightenEagerly(boundTokens(await parse({ messages: [{ role: "user", content: PROSE }] })), counter);
    expect(counter.calls).toBe(1);
  });
});
