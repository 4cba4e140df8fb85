import type { Work } from "./work.ts";

/**
 * Folded form of a text: the text as it looks to a reader. Patterns are matched against it as well as against the text itself, so that a
 * zero-width space or a full-width letter cannot hide a match.
 *
 * Folding removes default-ignorable code points (zero-width characters, soft hyphens, joiners, variation selectors, tags,
 * direction marks), control characters other than white space, and halves of surrogate pairs; normalises to NFKC (full-width,
 * circled, superscript and mathematical letters, ligatures, composed accents); removes marks that compose with no Latin letter or
 * ASCII character (strike-through, keycaps); and writes every decimal digit, dash, space and line separator in its ASCII form.
 * Case is left alone: `(?i)` is for that. Look-alikes of other scripts are not folded.
 */

/**
 * Stretch of a text with its folded form: the unit by which offsets of the two are mapped to each other. In folding, a stretch is a
 * character with all characters that join it (a combining character sequence, at most `MAX_STRETCH_CHARS`).
 */
export interface Stretch {
  readonly folded: string;
  /** Length of the original, in UTF-16 code units. */
  readonly width: number;
  /** True if the folded text is the original, character by character. */
  readonly same: boolean;
}

/** Matches text that is its own folded form, because it is ASCII. A search for any other character takes 1.5 times as long. */
const PLAIN_TEXT = /^[\t-\r\x20-\x7e]*$/;
/** Characters that folding removes. */
const IGNORED = /(?![\t-\r\u0085])[\p{Default_Ignorable_Code_Point}\p{Cs}\p{Cc}\ufff9-\ufffb]/gu;
/** Characters that may become part of what precedes them: marks, and vowels and final consonants of Hangul. */
const JOINS = /^[\p{M}\u1160-\u11ff]$/u;
/** Marks over Latin letters and ASCII characters that are left after composition. */
const UNCOMPOSED_MARKS = /(?<=[\p{ASCII}\p{Script=Latin}]\p{M}*)\p{M}/gu;
/** Characters of all scripts that are written in an ASCII form, with that form. */
const ASCII_FORMS: readonly (readonly [RegExp, string | ((digit: string) => string)])[] = [
  [/\p{Nd}/gu, asciiDigit],
  [/[\p{Pd}\u2212]/gu, "-"],
  [/\p{Zs}/gu, " "],
  [/[\u0085\u2028\u2029]/g, "\n"],
];

/** Kind of a code point that is not determined yet. */
const UNKNOWN = 0;
/** Kind of a code point that is its own folded form. */
const PLAIN = 1;
/** Kind of a code point with another folded form. */
const CHANGING = 2;
/** Kind of a code point that joins the character before it, if there is one. */
const JOINING = 3;
/** Kind of a code point that is removed. */
const REMOVED = 4;
/** Kind of each code point, determined at its first use. */
const kinds = new Uint8Array(0x110000);

/**
 * Maximum length of a stretch, in UTF-16 code units; characters that would join beyond it begin a new one. Unicode's stream-safe
 * format has at most 30 marks in a row, and the time to order them grows with the square of their number.
 */
const MAX_STRETCH_CHARS = 32;

/** Costs in steps of `Work`, as measured. `PAIR_STEPS` is for each pair of characters of a stretch that is normalised. */
const PLAIN_CHARS_PER_STEP = 16;
const CHARACTER_STEPS = 2;
const CHANGE_STEPS = 10;
const STRETCH_STEPS = 150;
const PAIR_STEPS = 2;

/**
 * Folds a text.
 *
 * @param work charged for the folding
 * @returns the stretches of the text, in order; undefined if the text is its own folded form
 */
export function foldStretches(text: string, work: Work): readonly Stretch[] | undefined {
  work.spend(text.length / PLAIN_CHARS_PER_STEP);
  if (PLAIN_TEXT.test(text)) return undefined;
  work.spend(text.length * CHARACTER_STEPS);
  const stretches: Stretch[] = [];
  let copied = 0;
  const change = (from: number, to: number, folded: string): void => {
    if (copied < from) stretches.push(sameStretch(text.slice(copied, from)));
    stretches.push({ folded, width: to - from, same: false });
    copied = to;
  };
  for (let at = 0; at < text.length;) {
    const end = endOfStretch(text, at);
    const kept = endOfKept(text, at, end);
    const isAlone = kept === at + widthAt(text, at);
    if (kept > at && !(isAlone && kindAt(text, at) === PLAIN)) {
      const original = text.slice(at, kept);
      const folded = isAlone ? foldCharacter(original) : foldStretch(original);
      work.spend(isAlone ? CHANGE_STEPS : STRETCH_STEPS + PAIR_STEPS * original.length ** 2);
      if (folded !== original) change(at, kept, folded);
    }
    if (kept < end) {
      work.spend(CHANGE_STEPS);
      change(kept, end, "");
    }
    at = end;
  }
  if (stretches.length === 0) return undefined;
  if (copied < text.length) stretches.push(sameStretch(text.slice(copied)));
  return stretches;
}

/** Stretch of a text that is its own folded form. */
export function sameStretch(text: string): Stretch {
  return { folded: text, width: text.length, same: true };
}

/** Index of the last stretch of a text, which following text may still change. */
export function lastStretchAt(text: string): number {
  if (text === "") return 0;
  const least = Math.max(0, text.length - MAX_STRETCH_CHARS);
  for (let at = text.length; at > least;) {
    at -= at > 1 && isLowSurrogate(text, at - 1) && isHighSurrogate(text, at - 2) ? 2 : 1;
    if (kindAt(text, at) < JOINING) return at;
  }
  // Only joining characters: the stretch is full, so no further character joins it, except half a surrogate pair.
  if (least === 0) return 0;
  return isHighSurrogate(text, text.length - 1) ? text.length - 1 : text.length;
}

/** True if a stretch is a single character, without joining ones. */
export function isCharacter(stretch: string): boolean {
  return stretch.length > 0 && widthAt(stretch, 0) === stretch.length && kindAt(stretch, 0) < JOINING;
}

function endOfStretch(text: string, from: number): number {
  let at = from + widthAt(text, from);
  while (at < text.length && at - from < MAX_STRETCH_CHARS && kindAt(text, at) >= JOINING) at += widthAt(text, at);
  return at;
}

/** End of a stretch without the characters at its end that are removed. */
function endOfKept(text: string, from: number, end: number): number {
  let kept = end;
  while (kept > from) {
    const isPair = kept - 1 > from && isLowSurrogate(text, kept - 1) && isHighSurrogate(text, kept - 2);
    const last = kept - (isPair ? 2 : 1);
    if (kindAt(text, last) !== REMOVED) break;
    kept = last;
  }
  return kept;
}

/** Cached folded forms of single characters. */
const foldedCharacters = new Map<string, string>();

function foldCharacter(character: string): string {
  const known = foldedCharacters.get(character);
  if (known !== undefined) return known;
  const folded = foldStretch(character);
  foldedCharacters.set(character, folded);
  return folded;
}

function foldStretch(text: string): string {
  const normalised = text.replaceAll(IGNORED, "").normalize("NFKC").replaceAll(IGNORED, "");
  if (PLAIN_TEXT.test(normalised)) return normalised;
  const unmarked = normalised.replaceAll(UNCOMPOSED_MARKS, "");
  return ASCII_FORMS.reduce(
    (folded, [characters, form]) =>
      typeof form === "string" ? folded.replaceAll(characters, form) : folded.replaceAll(characters, form),
    unmarked,
  );
}

function kindAt(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  if (unit >= 0x20 && unit <= 0x7e) return PLAIN;
  const rune = text.codePointAt(at) ?? unit;
  const known = kinds[rune] ?? UNKNOWN;
  if (known !== UNKNOWN) return known;
  const kind = kindOf(String.fromCodePoint(rune));
  kinds[rune] = kind;
  return kind;
}

function kindOf(character: string): number {
  if (JOINS.test(character)) return JOINING;
  const folded = foldStretch(character);
  if (folded === "") return REMOVED;
  if (JOINS.test(String.fromCodePoint(folded.codePointAt(0) ?? 0))) return JOINING;
  return folded === character ? PLAIN : CHANGING;
}

/** Ranges of the composed characters that folding does not change. */
const COMPOSED_RANGES = [
  [0xc0, 0x33ff],
  [0xac00, 0xd7a3],
] as const;
let compositions: ReadonlyMap<string, readonly number[]> | undefined;

/** Code points that this character can be composed to with a mark that follows. */
export function compositionsOf(character: string): readonly number[] {
  compositions ??= allCompositions();
  return compositions.get(character) ?? [];
}

/** Composed code points, keyed by every character with which a decomposition of them begins: ậ by a and by ạ. */
function allCompositions(): ReadonlyMap<string, readonly number[]> {
  const byBase = new Map<string, number[]>();
  for (const [first, last] of COMPOSED_RANGES) {
    for (let rune = first; rune <= last; rune++) {
      const parts = String.fromCodePoint(rune).normalize("NFD");
      for (let length = 1; length < parts.length; length++) {
        const base = parts.slice(0, length).normalize("NFC");
        const known = byBase.get(base);
        if (known === undefined) byBase.set(base, [rune]);
        else known.push(rune);
      }
    }
  }
  return byBase;
}

function widthAt(text: string, at: number): number {
  return isHighSurrogate(text, at) && isLowSurrogate(text, at + 1) ? 2 : 1;
}

/** ASCII form of a decimal digit: in every script the digits are contiguous, in runs of ten from zero. */
function asciiDigit(digit: string): string {
  const rune = digit.codePointAt(0) ?? 0;
  let first = rune;
  while (/\p{Nd}/u.test(String.fromCodePoint(first - 1))) first--;
  return String((rune - first) % 10);
}

export function isHighSurrogate(text: string, at: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === 0xd800;
}

export function isLowSurrogate(text: string, at: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === 0xdc00;
}
