/**
 * Text from elsewhere (a name that someone chose, a server's message) must not steer the terminal: control characters and
 * those that reorder what follows become visible escapes.
 */

// C0 and C1 controls, DEL, line and paragraph separators, directional marks, embeddings, overrides and isolates.
const UNSAFE = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

/** `text` on one line, safe to print. */
export function printable(text: string): string {
  return text.replace(UNSAFE, escaped);
}

/** As `printable`, with its line breaks kept. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

/** JSON, indented for people, that says the same to a parser and nothing to a terminal. */
export function printableJson(value: unknown): string {
  return printableLines(JSON.stringify(value, null, 2));
}

function escaped(character: string): string {
  return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`;
}
