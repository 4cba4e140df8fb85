import { describe, expect, it } from "vitest";
import { compileRules, type TextPattern } from "./compile-rules.ts";
import { REDACTED } from "./spec.ts";
import { judgeText } from "./text-filter.ts";
import { judgeParts, matchesInParts, matchesNothingWithin } from "./text-parts.ts";
import { Work } from "./work.ts";

const redact = (pattern: string): TextPattern => ({ pattern, action: "redact" });
const judged = async (patterns: readonly TextPattern[], parts: readonly string[]) =>
  judgeParts(await compileRules(patterns), parts, new Work());

describe("the parts of a text", () => {
  it("are redacted if a match is split over them", async () => {
    const { parts, redactions } = await judged([redact("secret")], ["a sec", "", "r", "et b", "secret"]);
    expect(parts).toEqual([`a ${REDACTED}`, "", REDACTED, `${REDACTED} b`, REDACTED]);
    expect(redactions.map(({ count }) => count)).toEqual([2]);
  });

  it("are blocked by a split match, and by a match in one of them alone", async () => {
    for (const [pattern, parts] of [
      ["secret", ["sec", "ret"]],
      [String.raw`\bsecret\b`, ["x", "secret", "y"]],
      ["^secret$", ["x", "secret"]],
    ] as const) {
      const { blocked } = await judged([{ pattern, action: "block" }], parts);
      expect(blocked).toMatchObject({ reason: "match" });
      expect((await matchesInParts(await compileRules([redact(pattern)]), parts, new Work())).size).toBe(1);
    }
  });

  it("pass unchanged if nothing matches; a single part is judged like a text", async () => {
    expect((await judged([redact("secret")], ["a", "b"])).parts).toEqual(["a", "b"]);
    for (const text of ["a secret", "se\u200bcret", "😀".repeat(600), `x${"😀".repeat(300)}y`]) {
      const patterns = [redact("secret"), redact("(?s)x.*y")];
      const { text: passed } = await judgeText(await compileRules(patterns), text, new Work());
      expect((await judged(patterns, [text])).parts).toEqual([passed]);
    }
  });

  it("are redacted in time linear in their number", async () => {
    const { parts } = await judged([redact("x")], Array<string>(20_000).fill("x x "));
    expect(new Set(parts)).toEqual(new Set([`${REDACTED} ${REDACTED} `]));
  });

  it("are refused once the work is exhausted", async () => {
    const { blocked } = await judgeParts(await compileRules([redact("aab")]), ["a".repeat(20_000)], new Work(5_000));
    expect(blocked).toEqual({ reason: "too_much_work" });
  });
});

describe("a search within a text", () => {
  const search = async (pattern: string, text: string, work = new Work()) =>
    matchesNothingWithin(await compileRules([redact(pattern)]), text, work);

  it("is true only if nothing can match in a text within it", async () => {
    expect(await search(String.raw`\bsecret\b`, '"a", "secrets"')).toBe(true);
    expect(await search(String.raw`\bsecret\b`, '"a", "secret"')).toBe(false);
    for (const pattern of ["^x", "x$", String.raw`\Ax`, String.raw`x\z`, "(?m)^x"]) {
      expect(await search(pattern, "y")).toBe(false);
    }
    for (const text of ["é", String.raw`\u0078`, "y".repeat(20_000)]) expect(await search("x", text)).toBe(false);
  });

  it("is false if the work is exhausted or a pause is due", async () => {
    expect(await search("aab", "a".repeat(10_000), new Work(5_000))).toBe(false);
    const work = new Work();
    work.spend(1_000_000);
    expect(await search("x", "y", work)).toBe(false);
  });
});
