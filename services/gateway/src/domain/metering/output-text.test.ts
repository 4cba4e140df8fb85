import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OutputText } from "./output-text.ts";

function read(text: string, pieces: readonly string[] = [text]): OutputText {
  const output = new OutputText();
  for (const piece of pieces) output.addText(0, piece);
  return output;
}

/** Texts with their number of tokens in the vocabulary o200k_base. */
const SAMPLES: Readonly<Record<string, readonly [string, number]>> = {
  prose: [
    "Reasoning models spend most of their output before the first word that a reader sees, which is why an estimate by " +
      "delivered text alone would be far too low.",
    32,
  ],
  words: ["word ".repeat(100), 101],
  code: ["    if (x) {\n        return y;\n    }\n".repeat(20), 240],
  JSON: [`[${Array.from({ length: 20 }, (_, id) => `{"id":${id},"name":"row ${id}","ok":true}`).join()}]`, 282],
  digits: ["3.14159265358979323846264338327950288419716939937510 2024-11-29 1234567 ".repeat(10), 310],
  Han: [
    "人工智能是计算机科学的一个分支，它企图了解智能的实质，并生产出一种新的能以人类智能相似的方式做出反应的智能机器。",
    40,
  ],
  Cyrillic: ["Все люди рождаются свободными и равными в своем достоинстве и правах.", 17],
  emoji: ["😀😃🎉👨‍👩‍👧‍👦🚀🔥✨🙏🏽".repeat(5), 115],
};

describe.each(Object.entries(SAMPLES))("the estimate of %s", (_, [text, tokens]) => {
  it("is near the count of a tokenizer", () => {
    const { estimate } = read(text);
    expect(estimate).toBeGreaterThanOrEqual(tokens * 0.75);
    expect(estimate).toBeLessThanOrEqual(tokens * 2);
  });

  it("has a lower bound that the count keeps", () => {
    expect(read(text).least).toBeLessThanOrEqual(tokens);
    expect(read(text).least).toBeGreaterThan(0);
  });
});

describe("text in pieces", () => {
  it("has the lower bound of the whole text, however it is split", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), fc.array(fc.nat(200)), (text, at) => {
        const ends = [...at.map((end) => Math.min(end, text.length)).toSorted((a, b) => a - b), text.length];
        const pieces = ends.map((end, index) => text.slice(ends[index - 1] ?? 0, end));
        expect(read(text, pieces).least).toBe(read(text).least);
      }),
    );
  });

  it("counts the words of each choice apart", () => {
    const output = new OutputText();
    for (let round = 0; round < 4; round++) for (const choice of [0, 1, 2]) output.addText(choice, " word");
    expect(output.least).toBe(6);
  });
});

describe("a long text", () => {
  it("is read up to a bound, and the rest is counted by its length", () => {
    const long = read("word ".repeat(1_000_000));
    expect(long.estimate).toBeGreaterThan(1_000_000);
    expect(long.estimate).toBeLessThan(1_500_000);
    expect(long.least).toBeLessThan(1_000_000);
  });
});

describe("content that is not text", () => {
  it("counts too: less for audio and images, and nothing for the lower bound", () => {
    const output = new OutputText();
    output.addOpaque("x".repeat(400));
    expect(output.estimate).toBe(100);
    output.addOpaque(`data:image/png;base64,${"x".repeat(1_258)}`);
    expect(output.estimate).toBe(110);
    output.addMedia("x".repeat(1_280));
    expect(output.estimate).toBe(120);
    expect(output.least).toBe(0);
  });
});
