import { toJson } from "./json.ts";

/**
 * Escaping of text from elsewhere, e.g. the name of a key or a message of the node, so that it cannot control the terminal: control
 * characters and characters that reorder text become visible escapes.
 */

// C0 and C1 controls, DEL, line and paragraph separators, directional marks, embeddings, overrides and isolates.
const UNSAFE = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

/** True if `printable` would change the text. */
export function isUnprintable(text: string): boolean {
  return printable(text) !== text;
}

/** Escapes text so that it is on one line and safe to print. */
export function printable(text: string): string {
  return text.replace(UNSAFE, escaped);
}

/** Escapes text as `printable` does, but keeps its line breaks. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

/** Indented JSON whose strings are escaped for terminals; a parser reads the same value. */
export function printableJson(value: unknown): string {
  return printableLines(toJson(value, 2));
}

function escaped(character: string): string {
  return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`;
}
