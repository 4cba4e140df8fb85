import { describe, expect, it } from "vitest";
import { measurePattern, patternFault } from "./pattern.ts";
import { compileRules, MAX_COMPOSED_INSTRUCTIONS, MAX_COMPOSED_PATTERNS, TooManyPatterns } from "./compile-rules.ts";
import { MAX_PATTERNS } from "./spec.ts";
import { judgeText } from "./text-filter.ts";
import { MAX_STEPS, SLICE_STEPS, Work } from "./work.ts";

/** Meter of the steps between two turns of the event loop. */
class CountedWork extends Work {
  longestSlice = 0;
  steps = 0;
  #slice = 0;

  override spend(steps: number): void {
    super.spend(steps);
    this.steps += steps;
    this.#slice += steps;
    this.longestSlice = Math.max(this.longestSlice, this.#slice);
  }

  override async pause(): Promise<void> {
    this.#slice = 0;
    await super.pause();
  }
}

function random(alphabet: string, length: number): string {
  let seed = 12_345;
  const units = Array.from({ length }, () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return alphabet[(seed >> 8) % alphabet.length];
  });
  return units.join("");
}

const LENGTH = 20_000;
const NASTY: Readonly<Record<string, readonly [readonly string[], string]>> = {
  "states that multiply": [["(a|b)*a(a|b){20}c"], random("ab", LENGTH)],
  "states that multiply, by the dozen": [
    Array.from({ length: 20 }, (_, index) => `a(?:a|b){${index + 5}}[ac]!`),
    random("abc", LENGTH),
  ],
  "hundreds of attempts at once": [
    Array.from({ length: 10 }, (_, index) => `[a-z]{${index + 100}}!`),
    random("abcz", LENGTH),
  ],
  "optional upon optional": [["(?:a?){300}b", "(?:a?b?c?){160}d"], "a".repeat(LENGTH)],
  "nested repetitions": [["((((a*)+)+)+)+b"], "a".repeat(LENGTH)],
  "many dots": [Array.from({ length: 50 }, (_, index) => `x.*y.*z.*${index}`), random("xyz ab", LENGTH)],
  "all of Unicode": [
    Array.from({ length: 20 }, (_, index) => String.raw`(?i)[\pL\pN]{10}\pS{${index + 1}}\pM`),
    random("aбв漢é", LENGTH),
  ],
};

describe("patterns that are meant to stall", () => {
  it.each(Object.entries(NASTY))(
    "hold the event loop for a bounded number of steps: %s",
    async (_, [patterns, text]) => {
      for (const pattern of patterns) expect(patternFault(pattern)).toBeUndefined();
      const work = new CountedWork();
      const rules = await compileRules(patterns.map((pattern) => ({ pattern, action: "block" as const })));
      await judgeText(rules, text, work);
      expect(work.steps).toBeGreaterThan(LENGTH);
      // A slice ends at the first check after it is full; between two checks lies at most one transition of all attempts.
      expect(work.longestSlice).toBeLessThan(2 * SLICE_STEPS);
    },
  );

  it.each<[string, (n: number) => string]>([
    ["letters up to a bound", (n) => `k${n}[a-z]{1,395}`],
    ["anything before a letter", (n) => `[\\s\\S]{1,390}x${n}`],
    ["anything but a line end", (n) => `.{0,395}z${n}`],
    ["two repetitions", (n) => `(?i)[a-z0-9 ]{10,190}${n}[a-z ]{10,190}`],
    ["letters of all of Unicode", (n) => `\\pL{1,390}${n}`],
    ["addresses", (n) => `(?i)[a-z0-9._%+-]{1,60}@[a-z0-9.-]{1,60}\\.[a-z]{2,${10 + n}}`],
  ])(
    "are judged over 5,000 characters within the work of a request, even the maximum number that a key can have: %s",
    async (_, patternOf) => {
      const patterns: string[] = [];
      let instructions = 0;
      for (let n = 0; n < MAX_PATTERNS; n++) {
        const size = measurePattern(patternOf(n));
        if (typeof size !== "number") throw new Error(size.message);
        instructions += size;
        if (instructions > MAX_COMPOSED_INSTRUCTIONS) break;
        patterns.push(patternOf(n));
      }
      expect(patterns.length).toBeGreaterThan(20);
      const rules = await compileRules(patterns.map((pattern) => ({ pattern, action: "block" as const })));
      for (const text of [random("abc XYZ 123,.@\n", 5_000), random("aбв漢é 😀", 5_000)]) {
        const work = new CountedWork();
        await judgeText(rules, text, work);
        expect(work.isExhausted).toBe(false);
        expect(work.steps).toBeLessThan(MAX_STEPS / 2);
      }
    },
  );

  it("block the text once the work of the request is exhausted", async () => {
    const rules = await compileRules([{ pattern: "(?:a?){300}b", action: "redact" as const }]);
    const work = new CountedWork(MAX_STEPS / 100);
    const { blocked, text } = await judgeText(rules, "a".repeat(LENGTH), work);
    expect(blocked).toEqual({ reason: "too_much_work" });
    expect(text).toBe("");
    expect(work.steps).toBeLessThan(MAX_STEPS / 100 + SLICE_STEPS);
  });

  it("are not compiled beyond the bounds on all guardrails together", async () => {
    const many = Array.from({ length: MAX_COMPOSED_PATTERNS + 1 }, (_, index) => ({
      pattern: `a${index}`,
      action: "block" as const,
    }));
    await expect(compileRules(many)).rejects.toThrow(TooManyPatterns);
    const large = Array.from({ length: 30 }, () => ({ pattern: "a{1000}", action: "block" as const }));
    await expect(compileRules(large)).rejects.toThrow(TooManyPatterns);
    await expect(compileRules(many.slice(1))).resolves.toBeDefined();
  });
});
