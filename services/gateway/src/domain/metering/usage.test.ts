import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../wire/json.ts";
import { CHAT } from "../wires/chat/chat-wire.ts";
import { AnswerMeter } from "./answer-meter.ts";
import { readAnsweredBy, readUsage } from "./usage.ts";

const OUTPUT_TOKENS_MAX = 1_000;
const wholeOf = (usage: unknown) => readUsage({ usage }, OUTPUT_TOKENS_MAX)?.whole;
const counts = (prompt: unknown, completion: unknown, total?: unknown, reasoning?: unknown) => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  ...(total !== undefined && { total_tokens: total }),
  ...(reasoning !== undefined && { completion_tokens_details: { reasoning_tokens: reasoning } }),
});

describe("the usage of a request that has no output", () => {
  it.each<[object, number]>([
    [{ total_tokens: 4 }, 4],
    [{ prompt_tokens: 4 }, 4],
    [{ prompt_tokens: 4, total_tokens: 4 }, 4],
  ])("is all input: %j", (usage, promptTokens) => {
    expect(readUsage({ usage }, 0)?.whole).toMatchObject({ promptTokens, completionTokens: 0, isConsistent: true });
  });

  it("has output if an answer reports some nevertheless", () => {
    expect(readUsage({ usage: counts(4, 2) }, 0)?.whole).toMatchObject({ promptTokens: 4, completionTokens: 2 });
  });
});

describe("the total of a usage", () => {
  it.each<[string, object, number, number]>([
    ["shows reasoning within the completion", counts(32, 103, 135, 94), 32, 103],
    ["shows reasoning beside the completion", counts(32, 9, 135, 94), 32, 103],
    ["shows output that no count has", counts(6, 0, 22), 6, 16],
    ["shows output of which reasoning is a part", counts(6, 4, 30, 10), 6, 24],
    ["stands in for a completion that is left out", { prompt_tokens: 6, total_tokens: 22 }, 6, 16],
    ["stands in for a prompt that is left out", { completion_tokens: 6, total_tokens: 22 }, 16, 6],
    ["is not needed", counts(6, 4), 6, 4],
    ["is not needed where reasoning is more than the completion", counts(6, 4, undefined, 10), 6, 14],
    ["is ignored where it is a zero beside counts", counts(6, 4, 0), 6, 4],
    ["is ignored where it is no count", counts(6, 4, -1), 6, 4],
    ["may leave out what reasoning is beyond the completion", counts(6, 4, 10, 30), 6, 34],
    [
      "may leave out what a cache holds",
      { input_tokens: 6, output_tokens: 4, total_tokens: 10, cache_read_input_tokens: 90 },
      96,
      4,
    ],
  ])("%s", (_, usage, promptTokens, completionTokens) => {
    expect(wholeOf(usage)).toMatchObject({ promptTokens, completionTokens, isConsistent: true });
  });

  it.each<[string, object]>([
    ["less than the sum", counts(30, 20, 40)],
    ["less than one count", counts(30, 20, 10)],
    ["less than the prompt alone", { prompt_tokens: 30, total_tokens: 10 }],
    ["more than the request could make", counts(30, 20, 5_000)],
    ["more than the request could make, alone", { prompt_tokens: 30, total_tokens: 5_000 }],
  ])("contradicts the other counts where it is %s", (_, usage) => {
    expect(wholeOf(usage)?.isConsistent).toBe(false);
  });
});

describe("a count", () => {
  it.each([12, 12.0, "12", " 12 ", "12.0", "12."])("is read where it is written as %j", (written) => {
    expect(wholeOf(counts(written, 3))).toMatchObject({ promptTokens: 12, completionTokens: 3, isConsistent: true });
  });

  it.each([-1, 0.5, 1e18, Number.NaN, Infinity, "-1", "0x10", "1e3", "twelve", "", true, {}, []])(
    "is none where it is %j",
    (written) => {
      expect(wholeOf(counts(12, written))).toMatchObject({ isConsistent: false });
      expect(wholeOf(counts(written, 12))).toMatchObject({ isConsistent: false });
    },
  );

  it("is the one above zero where it has several names", () => {
    const usage = { prompt_tokens: 0, input_tokens: 7, completion_tokens: 3, output_tokens: 0 };
    expect(wholeOf(usage)).toMatchObject({ promptTokens: 7, completionTokens: 3 });
    expect(readUsage({ usage: counts(0, 0), x_groq: { usage: counts(7, 3) } }, 10)?.whole?.promptTokens).toBe(7);
  });

  it.each([undefined, null, {}, [], "x", counts(null, null)])("is absent in %j", (usage) => {
    expect(wholeOf(usage)).toBeUndefined();
  });
});

describe("a part", () => {
  it("that is larger than its whole is not known, and changes nothing", () => {
    const details = { prompt_tokens_details: { cached_tokens: 9, audio_tokens: 9 } };
    const read = wholeOf({ ...counts(6, 4, 10), ...details });
    expect(read).toMatchObject({ promptTokens: 6, isConsistent: true });
    expect(read).toMatchObject({ cachedPromptTokens: undefined, promptAudioTokens: undefined });
  });

  it.each([-1, 0.5, "x", null])("that is %j is not known, and changes nothing", (written) => {
    const read = wholeOf({ ...counts(6, 4, 10), prompt_tokens_details: { cached_tokens: written } });
    expect(read).toMatchObject({ promptTokens: 6, cachedPromptTokens: undefined, isConsistent: true });
  });

  it("is within its whole, whatever an upstream writes", () => {
    const written = fc.oneof(fc.integer({ min: -2, max: 3_000 }), fc.constantFrom("7", "x", null, 2.5, 1e12));
    const record = fc.dictionary(
      fc.constantFrom(
        "prompt_tokens",
        "input_tokens",
        "completion_tokens",
        "output_tokens",
        "total_tokens",
        "reasoning_tokens",
        "cached_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "thoughtsTokenCount",
      ),
      written,
    );
    fc.assert(
      fc.property(record, (usage) => {
        const read = wholeOf(usage);
        if (read === undefined) return;
        const { promptTokens = 0, completionTokens = 0, ...parts } = read;
        const { cachedPromptTokens = 0, cacheWriteTokens = 0, reasoningTokens = 0 } = parts;
        expect(cachedPromptTokens + cacheWriteTokens).toBeLessThanOrEqual(promptTokens);
        expect(reasoningTokens).toBeLessThanOrEqual(completionTokens);
        for (const count of [promptTokens, completionTokens, cachedPromptTokens, cacheWriteTokens, reasoningTokens]) {
          expect(Number.isInteger(count) && count >= 0).toBe(true);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("usage of single choices", () => {
  const meter = () => new AnswerMeter({ format: CHAT.answer, outputTokensMax: OUTPUT_TOKENS_MAX, choices: 2 });
  const finish = (index: number, completion: number) => ({
    choices: [{ index, delta: {}, finish_reason: "stop", usage: counts(7, completion, 7 + completion) }],
  });

  it("is added up once each of the requested ones has one", () => {
    const answer = meter();
    answer.read(finish(0, 3));
    answer.complete();
    expect(answer.usage).toBeUndefined();
    expect(answer.metered.reported).toMatchObject({ promptTokens: 7 });
    answer.read(finish(1, 4));
    expect(answer.usage).toMatchObject({ promptTokens: 7, completionTokens: 7 });
  });

  it("is not added for one that was not requested", () => {
    const answer = meter();
    for (const index of [0, 1, 2, 77]) answer.read(finish(index, 3));
    answer.complete();
    expect(answer.usage).toMatchObject({ promptTokens: 7, completionTokens: 6 });
  });
});

describe("model and service tier", () => {
  it.each<[JsonObject, object]>([
    [
      { model: "m", service_tier: "flex" },
      { model: "m", serviceTier: "flex" },
    ],
    [
      { modelVersion: "m", usage: { service_tier: "priority" } },
      { model: "m", serviceTier: "priority" },
    ],
    [{ message: { model: "m", usage: { service_tier: "batch" } } }, { model: "m", serviceTier: "batch" }],
    [{ model: "", service_tier: 5 }, {}],
    [{ model: "x".repeat(257) }, {}],
  ])("of %j are %j", (answer, expected) => {
    expect(readAnsweredBy(answer)).toEqual(expected);
  });
});
