import fc from "fast-check";
import { RE2JS } from "re2js";
import { describe, expect, it } from "vitest";
import { patternFault } from "./pattern.ts";
import { compileRules, type TextPattern } from "./compile-rules.ts";
import { MAX_MATCH_CHARS, REDACTED } from "./spec.ts";
import { judgeText, type Redactions, TextFilter } from "./text-filter.ts";
import { Work } from "./work.ts";

const redact = (pattern: string): TextPattern => ({ pattern, action: "redact" });
const block = (pattern: string): TextPattern => ({ pattern, action: "block" });

async function whole(patterns: readonly TextPattern[], text: string) {
  const { text: passed, redactions, blocked } = await judgeText(await compileRules(patterns), text, new Work());
  return { passed, blocked, counts: countsOf(patterns, redactions) };
}

async function inPieces(patterns: readonly TextPattern[], pieces: readonly string[]) {
  const filter = new TextFilter(await compileRules(patterns), new Work());
  const released: string[] = [];
  for (const piece of pieces) released.push(await filter.push(piece));
  released.push(filter.end());
  return { passed: released.join(""), blocked: filter.blocked, counts: countsOf(patterns, filter.redactions) };
}

const countsOf = (
  patterns: readonly TextPattern[],
  redactions: readonly Redactions<TextPattern>[],
): readonly number[] => patterns.map((counted) => redactions.find(({ pattern }) => pattern === counted)?.count ?? 0);

/** Fragments of arbitrary patterns, over small alphabets so that they match often. */
const atom = fc.constantFrom(
  "a",
  "b",
  "é",
  "😀",
  "[ab]",
  "[^a]",
  ".",
  String.raw`\b`,
  "^",
  "$",
  String.raw`\w`,
  "(?m:^)",
  String.raw`\B`,
  "(?m:$)",
  "(?i:A)",
  String.raw`\z`,
  "(?s:.)",
);
const { pattern: arbitraryPattern } = fc.letrec<{ pattern: string }>((tie) => ({
  pattern: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    atom,
    fc.tuple(tie("pattern"), tie("pattern")).map(([first, second]) => first + second),
    fc.tuple(tie("pattern"), tie("pattern")).map(([first, second]) => `(?:${first}|${second})`),
    fc
      .tuple(tie("pattern"), fc.constantFrom("*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}?"))
      .map(([pattern, repetition]) => `(?:${pattern})${repetition}`),
  ),
}));
const patterns = fc
  .array(fc.record({ pattern: arbitraryPattern, action: fc.constantFrom("redact" as const, "block" as const) }), {
    minLength: 1,
    maxLength: 3,
  })
  .map((generated) => generated.filter(({ pattern }) => patternFault(pattern) === undefined));
const text = fc
  .array(fc.constantFrom("a", "b", "A", "é", "😀", " ", "\n", "x", "\ud83d", "\ude00", "\u200b", "\u00ad", "ａ", "ﬁ"), {
    maxLength: 24,
  })
  .map((units) => units.join(""));
/** Cuts a text anywhere, within surrogate pairs too, with empty pieces among the others. */
const cut = (whole: string, cuts: readonly number[]): string[] => {
  const at = [0, ...cuts.map((offset) => offset % (whole.length + 1)).toSorted((a, b) => a - b), whole.length];
  return at.slice(1).map((end, index) => whole.slice(at[index], end));
};

/** Folded form of such a text, with the index in the text of each of its characters. */
function foldedForm(text: string): { readonly form: string; readonly offsets: readonly number[] } {
  const forms: Readonly<Record<string, string>> = { "\u200b": "", "\u00ad": "", ａ: "a", ﬁ: "fi" };
  let form = "";
  let at = 0;
  const offsets: number[] = [];
  for (const character of text) {
    const folded = character.isWellFormed() ? (forms[character] ?? character) : "";
    for (let unit = 0; unit < folded.length; unit++) offsets.push(at + (folded === character ? unit : 0));
    form += folded;
    at += character.length;
  }
  return { form, offsets };
}

describe("a text in pieces", () => {
  it("gives the same result as the whole text, for all patterns and all cuts", async () => {
    await fc.assert(
      fc.asyncProperty(patterns, text, fc.array(fc.nat(), { maxLength: 8 }), async (patterns, text, offsets) => {
        const asWhole = await whole(patterns, text);
        for (const pieces of [cut(text, offsets), text.split("")]) {
          const { passed, blocked, counts } = await inPieces(patterns, pieces);
          expect(blocked?.reason).toBe(asWhole.blocked?.reason);
          if (patterns.filter(({ action }) => action === "block").length === 1)
            expect(blocked).toEqual(asWhole.blocked);
          if (blocked === undefined) expect([passed, counts]).toEqual([asWhole.passed, asWhole.counts]);
        }
      }),
      { numRuns: 400 },
    );
  });
});

describe("a match by RE2 in a text or in its folded form", () => {
  it("blocks, and nothing else does", async () => {
    await fc.assert(
      fc.asyncProperty(patterns, text, async (patterns, text) => {
        const { blocked } = await whole(
          patterns.map(({ pattern }) => block(pattern)),
          text,
        );
        const matching = patterns.filter(({ pattern }) =>
          [text, foldedForm(text).form].some((form) => RE2JS.compile(pattern).test(form)),
        );
        expect(blocked?.reason).toBe(matching.length > 0 ? "match" : undefined);
      }),
      { numRuns: 400 },
    );
  });

  it("is redacted from every start position, and nothing else is", async () => {
    await fc.assert(
      fc.asyncProperty(patterns, text, async (patterns, text) => {
        const { passed, counts } = await whole(
          patterns.map(({ pattern }) => redact(pattern)),
          text,
        );
        expect(passed).toBe(redactedByRe2(patterns, text));
        expect(counts).toEqual(patterns.map((pattern) => stretches(redactedByRe2([pattern], text, "\0"))));
      }),
      { numRuns: 400 },
    );
  });

  it.each([
    String.raw`a(?:\b|é)*`,
    String.raw`a(?:$|b)*?b`,
    String.raw`a(?:(?m:^)|\B|b)+`,
    String.raw`(?:(?:\b|a)*b)+`,
  ])("ends where RE2 ends it, with a repetition around an assertion: %s", async (pattern) => {
    const texts = fc.array(fc.constantFrom("a", "b", "é", " ", "\n"), { maxLength: 8 }).map((units) => units.join(""));
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        const { passed } = await whole([redact(pattern)], text);
        expect(passed).toBe(redactedByRe2([block(pattern)], text));
      }),
    );
  });

  it("is counted for each pattern; adjacent matches count as one", async () => {
    const { passed, counts } = await whole([redact("ab+"), redact("b"), redact("x")], "abab b bb-ab");
    expect(passed).toBe(`${REDACTED} ${REDACTED} ${REDACTED}-${REDACTED}`);
    expect(counts).toEqual([2, 5, 0]);
  });
});

const stretches = (redacted: string): number => redacted.split("\0").length - 1;

function redactedByRe2(patterns: readonly TextPattern[], text: string, mark = REDACTED): string {
  const hidden = Array.from({ length: text.length }, () => false);
  const { form, offsets } = foldedForm(text);
  for (const { pattern } of patterns) {
    for (const { start, end } of matchesOfRe2(pattern, text)) hidden.fill(true, start, end);
    for (const { start, end } of matchesOfRe2(pattern, form)) {
      hidden.fill(true, offsets[start], (offsets[end - 1] ?? 0) + 1);
    }
  }
  return Array.from({ length: text.length }, (_, at) => {
    if (!hidden[at]) return text[at];
    return hidden[at - 1] ? "" : mark;
  }).join("");
}

/** Matches by RE2 from every start position. */
function matchesOfRe2(pattern: string, text: string): readonly { readonly start: number; readonly end: number }[] {
  const matcher = RE2JS.compile(pattern).matcher(text);
  return Array.from({ length: text.length }, (_, place) => place).flatMap((place) => {
    // A match never starts within a surrogate pair.
    if (place > 0 && (text.codePointAt(place - 1) ?? 0) > 0xffff) return [];
    return matcher.find(place) && matcher.start() === place ? [{ start: place, end: matcher.end() }] : [];
  });
}

describe("a match that is longer than the bound", () => {
  const long = fc
    .array(fc.record({ unit: fc.constantFrom("a", "b", "😀", " "), times: fc.integer({ min: 1, max: 700 }) }), {
      maxLength: 6,
    })
    .map((runs) => runs.map(({ unit, times }) => unit.repeat(times)).join(""));
  const hungry = [redact("a+"), redact("b.*b"), redact("😀{3,}"), redact("(?:a😀?){5} "), block("b a{600}b")];

  it("has its last characters redacted, up to the number that is held back, for all cuts", async () => {
    await fc.assert(
      fc.asyncProperty(long, fc.array(fc.nat(), { maxLength: 30 }), async (text, offsets) => {
        const asWhole = await whole(hungry, text);
        const { passed, blocked, counts } = await inPieces(hungry, cut(text, offsets));
        expect(blocked).toEqual(asWhole.blocked);
        if (blocked === undefined) expect([passed, counts]).toEqual([asWhole.passed, asWhole.counts]);
      }),
      { numRuns: 200 },
    );
    const { passed } = await whole([redact("(?s)x.*y")], `x${"-".repeat(2_000)}y.`);
    expect(passed).toBe(`x${"-".repeat(2_001 - MAX_MATCH_CHARS)}${REDACTED}.`);
  });

  it("is never split within a surrogate pair", async () => {
    const patterns = [redact("(?s)x.*y")];
    for (const text of [`x${"😀".repeat(1_000)}y.`, `x.${"😀".repeat(1_000)}y.`]) {
      const { passed } = await whole(patterns, text);
      expect(passed.isWellFormed()).toBe(true);
      expect((await inPieces(patterns, text.split(""))).passed).toBe(passed);
    }
    const filter = new TextFilter(await compileRules(patterns), new Work());
    for (const unit of `x${"😀".repeat(1_000)}`) expect((await filter.push(unit)).isWellFormed()).toBe(true);
  });

  it("is blocked at any length", async () => {
    const text = `x${"-".repeat(5_000)}y`;
    expect((await whole([block("x-*y")], text)).blocked).toMatchObject({ reason: "match" });
    expect((await inPieces([block("x-*y")], text.split(""))).blocked).toMatchObject({ reason: "match" });
  });
});

describe("held back text", () => {
  it("never exceeds the bound, and is empty if nothing can match", async () => {
    const filter = new TextFilter(await compileRules([block("(?s)begin.*end"), redact("secret")]), new Work());
    expect(await filter.push("nothing here; se")).toBe("nothing here; ");
    expect(await filter.push("cr")).toBe("");
    expect(await filter.push("ets and ")).toBe(`${REDACTED}s and `);
    expect(await filter.push("begin")).toBe("");
    let [pushed, released] = ["begin".length, 0];
    for (let count = 0; count < 300; count++) {
      released += (await filter.push("0123456")).length;
      pushed += 7;
      expect(pushed - released).toBeLessThanOrEqual(MAX_MATCH_CHARS);
    }
    expect(pushed - released).toBe(MAX_MATCH_CHARS);
    expect(filter.end()).toHaveLength(MAX_MATCH_CHARS);
  });

  it("has not released when it is blocked later", async () => {
    const filter = new TextFilter(await compileRules([block(String.raw`key: \w{8}\b`)]), new Work());
    const pieces = ["a key", ": abc", "defg", "h", "."];
    const released: string[] = [];
    for (const piece of pieces) released.push(await filter.push(piece));
    expect(released.join("")).toBe("a ");
    expect(filter.blocked).toMatchObject({ reason: "match" });
    expect(await filter.push("more")).toBe("");
    expect(filter.end()).toBe("");
  });
});
