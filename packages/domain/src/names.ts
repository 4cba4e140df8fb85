/** Names that people give to keys, policies, operators and content patterns. */

/**
 * Invisible characters in addition to those of Unicode's categories: Hangul fillers, the blank Braille pattern, the object replacement
 * character and the null notehead. They count as letters or symbols.
 */
const INVISIBLE = "\u115F\u1160\u3164\uFFA0\u2800\uFFFC\u{1D159}";

/**
 * A text that is not blank and holds no control character: one of its characters is visible by itself. Invisible are spaces and separators
 * (Z), format characters such as zero-width spaces, direction marks, soft hyphens and tags (C), and characters that only change another
 * one, such as variation selectors and the combining grapheme joiner (M). The contracts have the same expression.
 */
const VISIBLE_TEXT = new RegExp(`^[^\\p{Cc}]*[^\\p{C}\\p{M}\\p{Z}\\s${INVISIBLE}][^\\p{Cc}]*$`, "u");

const CONTROL = /\p{Cc}/u;

/** Fault of a name, for people; undefined for one that is neither blank nor holds control characters. */
export function nameFault(name: string): string | undefined {
  if (VISIBLE_TEXT.test(name)) return undefined;
  return CONTROL.test(name) ? "must not hold control characters" : "must not be blank";
}

/**
 * Form of a name in which names are compared: NFC, in upper case and then in lower case by Unicode's full mappings, in no
 * language. `ß`, `ẞ` and `ss` are equal, and so are `σ` and `ς`; the Turkish `ı` equals `i`, and `İ` an `i` with a dot above.
 * Postgres computes the same in the unique index of policies.
 */
export function foldName(name: string): string {
  return name.normalize("NFC").toUpperCase().toLowerCase().normalize("NFC");
}
