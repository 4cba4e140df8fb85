import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { createLogger } from "@routeplane/runtime";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTokenCounter } from "../src/clients/token-counter.ts";
import { boundText, boundTexts } from "../src/domain/tokens/text-bound.ts";

const SENTENCE = "The gateway judges what a key may ask for, in 中文 too. ";
const log = createLogger("test", (text) => text, "silent");

describe("the counter of tokens", () => {
  let counter: ReturnType<typeof createTokenCounter>;

  beforeEach(() => {
    counter = createTokenCounter(log);
  });

  afterEach(() => counter.stop());

  it("counts texts together, as their tokenizer does", async () => {
    const texts = [SENTENCE, SENTENCE.repeat(100), "", "x"];
    const real = texts.reduce((sum, text) => sum + countTokens(text), 0);
    expect(await counter.count(texts, "o200k_base", "required")).toBe(real);
    expect(await counter.count(texts, "o200k_base", "required")).toBe(real);
    expect(await counter.count([], "o200k_base", "required")).toBe(0);
  });

  it("counts a long text in pieces, never less than its tokenizer and hardly more", async () => {
    const text = SENTENCE.repeat(20_000);
    const real = countTokens(text);
    const counted = await counter.count([text], "o200k_base", "required");
    expect(counted).toBeGreaterThanOrEqual(real);
    expect(counted).toBeLessThan(real * 1.01);
  });

  it("bounds texts of unknown vocabularies by their characters, also long ones", async () => {
    const texts = [SENTENCE, SENTENCE.repeat(1_000)];
    const bound = texts.reduce((sum, text) => sum + boundText(text), 0);
    expect(await counter.count(texts, undefined, "required")).toBe(bound);
    expect(bound).toBeLessThan(boundTexts(texts) * 0.8);
  });

  it("keeps the loose bound for requests beyond its capacity, and refuses none", async () => {
    await counter.count(["x"], "o200k_base", "required");
    const exact = countTokens(SENTENCE);
    const loose = boundTexts([SENTENCE]);
    const counts = await Promise.all(
      Array.from({ length: 400 }, async (_, index) => {
        const ofIndex = `${" ".repeat(index)}.`;
        const count = await counter.count([SENTENCE, ofIndex], "o200k_base", "required");
        return count - (count < loose ? countTokens(ofIndex) : boundTexts([ofIndex]));
      }),
    );
    expect(counts.slice(0, 256).every((count) => count === exact)).toBe(true);
    expect(counts.slice(256).every((count) => count === exact || count === loose)).toBe(true);
  });

  it("keeps the loose bound once it is stopped", async () => {
    await counter.stop();
    expect(await counter.count([SENTENCE], "o200k_base", "required")).toBe(boundTexts([SENTENCE]));
  });
});
