import type { Work } from "./work.ts";

/**
 * The folded form of a text: how it reads to somebody who sees characters and not code points. Patterns are matched against it
 * as well as against the text itself, so that a zero-width space or a full-width letter does not hide a match.
 *
 * Folding removes default-ignorable code points (zero-width characters, soft hyphens, joiners, variation selectors, tags,
 * direction marks), control characters other than white space, and halves of surrogate pairs; normalises to NFKC (full-width,
 * circled, superscript and mathematical letters, ligatures, composed accents); removes marks that compose with no Latin letter or
 * ASCII character (strike-through, keycaps); and writes every decimal digit, dash, space and line separator in its ASCII form.
 * Case is left alone: `(?i)` is for that. Look-alikes of other scripts are not folded.
 */

/** A stretch of a folded text, and the stretch of the original that it stands for. */
export interface Stretch {
  readonly folded: string;
  /** Length of the original. */
  readonly width: number;
  /** True if the folded text is the original, character by character. */
  readonly same: boolean;
}

/** Text of these characters alone is its own folded form. A search for any other one takes half as long again. */
const PLAIN_TEXT = /^[\t-\r\x20-\x7e]*$/;
const IGNORED = /(?![\t-\r\u0085])[\p{Default_Ignorable_Code_Point}\p{Cs}\p{Cc}\ufff9-\ufffb]/gu;
/** Characters that may become part of what precedes them: marks, and vowels and final consonants of Hangul. */
const JOINS = /^[\p{M}\u1160-\u11ff]$/u;
const MARKS_WITHOUT_LETTER = /(?<=[\p{ASCII}\p{Script=Latin}]\p{M}*)\p{M}/gu;
const ASCII_FORMS: readonly (readonly [RegExp, string | ((digit: string) => string)])[] = [
  [/\p{Nd}/gu, asciiDigit],
  [/[\p{Pd}\u2212]/gu, "-"],
  [/\p{Zs}/gu, " "],
  [/[\u0085\u2028\u2029]/g, "\n"],
];

/** Kind of a code point whose effect on folding has not been determined yet. */
const UNKNOWN = 0;
/** Kind of a code point that stands for itself. */
const PLAIN = 1;
const CHANGING = 2;
/** Kind of a code point that belongs to what precedes it, if anything does. */
const JOINING = 3;
/** Kind of a code point that is removed. */
const REMOVED = 4;
/** Kind of each code point, determined at its first use. */
const kinds = new Uint8Array(0x110000);

/**
 * Length of the longest stretch that is normalised at one go, in UTF-16 code units: what joins beyond it stands alone. Unicode's
 * stream-safe format has at most 30 marks in a row; the time to put them into order grows with the square of their number.
 */
const MAX_STRETCH_CHARS = 32;

/** In steps of `Work`. */
const PLAIN_CHARS_PER_STEP = 16;
const STEPS_OF_A_CHARACTER = 2;
const STEPS_OF_A_CHANGE = 10;
const STEPS_OF_A_STRETCH = 150;
const STEPS_OF_A_PAIR = 2;

/**
 * Folds a text.
 *
 * @param work charged for it
 * @returns its stretches in their order; undefined if the text is its own folded form
 */
export function foldStretches(text: string, work: Work): readonly Stretch[] | undefined {
  work.spend(text.length / PLAIN_CHARS_PER_STEP);
  if (PLAIN_TEXT.test(text)) return undefined;
  work.spend(text.length * STEPS_OF_A_CHARACTER);
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
      work.spend(isAlone ? STEPS_OF_A_CHANGE : STEPS_OF_A_STRETCH + STEPS_OF_A_PAIR * original.length ** 2);
      if (folded !== original) change(at, kept, folded);
    }
    if (kept < end) {
      work.spend(STEPS_OF_A_CHANGE);
      change(kept, end, "");
    }
    at = end;
  }
  if (stretches.length === 0) return undefined;
  if (copied < text.length) stretches.push(sameStretch(text.slice(copied)));
  return stretches;
}

export function sameStretch(text: string): Stretch {
  return { folded: text, width: text.length, same: true };
}

/** Index of the last stretch of a text, which may go on in the text that follows. */
export function lastStretchAt(text: string): number {
  if (text === "") return 0;
  const least = Math.max(0, text.length - MAX_STRETCH_CHARS);
  for (let at = text.length; at > least;) {
    at -= at > 1 && isLowSurrogate(text, at - 1) && isHighSurrogate(text, at - 2) ? 2 : 1;
    if (kindAt(text, at) < JOINING) return at;
  }
  // Nothing but what joins: it is closed, but for half a surrogate pair.
  if (least === 0) return 0;
  return isHighSurrogate(text, text.length - 1) ? text.length - 1 : text.length;
}

/** True if a stretch is one character that nothing has joined. */
export function isCharacter(stretch: string): boolean {
  return stretch.length > 0 && widthAt(stretch, 0) === stretch.length && kindAt(stretch, 0) < JOINING;
}

function endOfStretch(text: string, from: number): number {
  let at = from + widthAt(text, from);
  while (at < text.length && at - from < MAX_STRETCH_CHARS && kindAt(text, at) >= JOINING) at += widthAt(text, at);
  return at;
}

/** End of a stretch without what is removed at its end. */
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

/** Folded forms of characters that change, filled while it is used. */
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
  const unmarked = normalised.replaceAll(MARKS_WITHOUT_LETTER, "");
  return ASCII_FORMS.reduce(
    (folded, [found, form]) =>
      typeof form === "string" ? folded.replaceAll(found, form) : folded.replaceAll(found, form),
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

/** First and last code points of characters that are composed of others, and are not changed by folding. */
const COMPOSED_RANGES = [
  [0xc0, 0x33ff],
  [0xac00, 0xd7a3],
] as const;
let compositions: ReadonlyMap<string, readonly number[]> | undefined;

/** Code points that this character becomes the first part of once a mark follows. */
export function compositionsOf(character: string): readonly number[] {
  compositions ??= allCompositions();
  return compositions.get(character) ?? [];
}

/** By every character with which a decomposition of them begins: of ậ, a and ạ. */
function allCompositions(): ReadonlyMap<string, readonly number[]> {
  const all = new Map<string, number[]>();
  for (const [first, last] of COMPOSED_RANGES) {
    for (let rune = first; rune <= last; rune++) {
      const parts = String.fromCodePoint(rune).normalize("NFD");
      for (let length = 1; length < parts.length; length++) {
        const base = parts.slice(0, length).normalize("NFC");
        const known = all.get(base);
        if (known === undefined) all.set(base, [rune]);
        else known.push(rune);
      }
    }
  }
  return all;
}

function widthAt(text: string, at: number): number {
  return isHighSurrogate(text, at) && isLowSurrogate(text, at + 1) ? 2 : 1;
}

/** Decimal digits of a script follow each other from zero to nine, and the digits of the next script begin anew. */
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
