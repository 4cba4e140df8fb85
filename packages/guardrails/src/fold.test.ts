import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { foldStretches } from "./fold.ts";
import { compileRules } from "./compile-rules.ts";
import { REDACTED } from "./spec.ts";
import { judgeText, TextFilter } from "./text-filter.ts";
import { MatchRecorder } from "./match-recorder.ts";
import { Work } from "./work.ts";

const folded = (text: string): string =>
  foldStretches(text, new Work())
    ?.map((stretch) => stretch.folded)
    .join("") ?? text;

/** Disguises of "secret 4111": texts that look like it, in other code points. */
const DISGUISES: Readonly<Record<string, string>> = {
  "zero-width spaces": "s\u200be\u200bc\u200br\u200be\u200bt 4\u200b111",
  "zero-width joiners and non-joiners": "s\u200decr\u200cet 41\u200d11",
  "word joiners and byte order marks": "sec\u2060ret 4\ufeff111",
  "soft hyphens": "sec\u00adret 41\u00ad11",
  "variation selectors": "s\ufe0fe\ufe0ecret 4\ufe0f111",
  "supplementary variation selectors": "se\u{e0100}cret 41\u{e01ef}11",
  tags: "se\u{e0041}\u{e007f}cret 4\u{e0031}111",
  "combining grapheme joiners": "se\u034fcret 4111",
  "direction marks": "\u202dse\u200ecret\u202c \u20664\u200f111\u2069",
  "Hangul and Mongolian fillers": "se\u3164cr\uffa0e\u180bt 4\u115f111",
  "full-width characters": "ｓｅｃｒｅｔ　４１１１",
  "circled characters": "ⓢⓔⓒⓡⓔⓣ ④①①①",
  "mathematical characters": "𝐬𝑒𝒸𝓇𝔢𝕥 𝟒𝟙𝟣𝟷",
  "superscript and subscript characters": "ˢᵉᶜʳᵉᵗ ⁴₁¹₁",
  "digits of other scripts": "secret ٤१௧۱",
  keycaps: "secret 4\ufe0f\u20e31\ufe0f\u20e31\u20e31\u20e3",
  "struck-out letters": "s\u0336e\u0336c\u0336r\u0336e\u0336t\u0336 4\u03381\u033811",
  "NUL and other control characters": "se\u0000cr\u001bet 41\u007f\u009b11",
  "halves of surrogate pairs": "se\ud800cr\udc00et 41\udfff11",
  "interlinear annotations": "\ufff9se\ufffbcret 4111",
  "no-break and other spaces": "secret\u00a04111",
  "Ogham spaces": "secret\u16804111",
};

describe("a folded text", () => {
  it.each(Object.entries(DISGUISES))("reveals %s", (_, text) => {
    expect(folded(text)).toBe("secret 4111");
  });

  it("has ligatures, accents, dashes and line separators in plain form", () => {
    expect(folded("ﬁle ﬀ Ǆ")).toBe("file ff DŽ");
    expect(folded("cafe\u0301 a\u0323\u0302 각")).toBe("café ậ 각");
    expect(folded("123\u201045\u20136789 \u22121")).toBe("123-45-6789 -1");
    expect(folded("a\u2028b\u2029c\u0085d")).toBe("a\nb\nc\nd");
    expect(folded("ｶﾞ")).toBe("ガ");
  });

  it("is the text itself if nothing is disguised", () => {
    for (const text of ["plain\r\n\ttext", "héllo wörld", "日本語の文", "привет", "हिन्दी", "עִבְרִית", "😀", ""])
      expect(foldStretches(text, new Work())).toBeUndefined();
  });

  it("maps every character of the original", () => {
    const unit = fc.oneof(
      fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
      fc.constantFrom("e\u0301", "\u200b", "ａ", "a", "\ud800", "\u0323"),
    );
    fc.assert(
      fc.property(
        fc.array(unit).map((units) => units.join("")),
        (text) => {
          const stretches = foldStretches(text, new Work()) ?? [];
          if (stretches.length === 0) return;
          expect(stretches.reduce((sum, { width }) => sum + width, 0)).toBe(text.length);
          expect(folded(folded(text))).toBe(folded(text));
        },
      ),
    );
  });
});

describe("a pattern", () => {
  const rules = compileRules([{ pattern: "secret 4[0-9]{3}|café|１２３", action: "redact" as const }]);

  it.each(Object.entries(DISGUISES))(
    "matches through %s, whole and in pieces, and takes out the original",
    async (_, text) => {
      const { text: passed, redactions } = await judgeText(await rules, `a ${text}.`, new Work());
      expect(passed).toMatch(/^a [\u202d\ufff9]?\[REDACTED\][^a-z0-9]{0,3}\.$/u);
      expect(redactions).toMatchObject([{ count: 1 }]);
      const filter = new TextFilter(await rules, new Work());
      let output = "";
      for (const unit of `a ${text}.`.split("")) output += await filter.push(unit);
      expect(output + filter.end()).toBe(passed);
      const watch = new MatchRecorder(await rules, new Work());
      for (const unit of text.split("")) await watch.push(unit);
      watch.end();
      expect(watch.matched.size).toBe(1);
    },
  );

  it("with characters that folding changes matches the unfolded text", async () => {
    expect((await judgeText(await rules, "x １２３ 123", new Work())).text).toBe(`x ${REDACTED} 123`);
  });

  it("matches a letter whose combining accent is in the next piece", async () => {
    const filter = new TextFilter(await rules, new Work());
    const output = [await filter.push("a cafe"), await filter.push("\u0301"), await filter.push("s"), filter.end()];
    expect(output.join("")).toBe(`a ${REDACTED}s`);
    const accented = new TextFilter(await compileRules([{ pattern: "élan", action: "redact" as const }]), new Work());
    let passed = "";
    for (const unit of "an e\u0301lan".split("")) passed += await accented.push(unit);
    expect(passed + accented.end()).toBe(`an ${REDACTED}`);
  });

  it("holds back nothing of a text with dashes, accents and emoji if nothing can match", async () => {
    const filter = new TextFilter(await rules, new Work());
    for (const piece of ["a — ", "dash", "é", " and", "…", " 😀", " x"]) expect(await filter.push(piece)).toBe(piece);
  });

  it("matches across any number of hidden characters, or refuses the text", async () => {
    const between = (count: number) => "secret 4111".split("").join("\u200b".repeat(count));
    expect((await judgeText(await rules, between(1_000), new Work())).text).toBe(REDACTED);
    const { blocked } = await judgeText(await rules, between(70_000), new Work());
    expect(blocked).toEqual({ reason: "too_much_work" });
  });

  it("charges folding to the work", async () => {
    const work = new Work(100_000);
    expect((await judgeText(await rules, "ａ".repeat(100_000), work)).blocked).toEqual({ reason: "too_much_work" });
  });
});
