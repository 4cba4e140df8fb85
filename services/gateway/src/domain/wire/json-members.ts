/**
 * Edits of the top level of a JSON object as text: every byte that need not change stays as the client wrote it. A round trip
 * through JSON.parse would round big numbers and drop duplicate members. Lexing assumes valid JSON, and ends for any text.
 */

import type { Edit } from "./json-edits.ts";

/** Member of an object. */
export interface Member {
  readonly key: string;
  /** Position of the opening quote of its name. */
  readonly nameStart: number;
  /** Position of the first character of the value. */
  readonly start: number;
  /** Position after the last character of the value. */
  readonly end: number;
}

const NO_RENAMES: ReadonlyMap<string, string> = new Map();

/**
 * Edits that set members of an object: replaced in their place, or added at the end.
 *
 * @param text the object
 * @param members its members, in their order
 * @param values JSON of the new values, by key
 * @param renames new key of a member, by its key; the object has no member of the new key yet, and `values` has its value
 * @returns edits in ascending order of their positions
 */
export function memberEdits(
  text: string,
  members: readonly Member[],
  values: ReadonlyMap<string, string>,
  renames: ReadonlyMap<string, string> = NO_RENAMES,
): readonly Edit[] {
  const edits: Edit[] = [];
  const present = new Set<string>();
  for (const { key: oldKey, nameStart, start, end } of members) {
    const key = renames.get(oldKey) ?? oldKey;
    present.add(key);
    const value = values.get(key);
    if (value === undefined) continue;
    if (key === oldKey) edits.push({ start, end, literal: value });
    else edits.push({ start: nameStart, end, literal: `${JSON.stringify(key)}:${value}` });
  }
  const added = [...values]
    .filter(([key]) => !present.has(key))
    .map(([key, value]) => `${JSON.stringify(key)}:${value}`);
  if (added.length === 0) return edits;
  const close = text.lastIndexOf("}");
  edits.push({ start: close, end: close, literal: `${members.length === 0 ? "" : ","}${added.join(",")}` });
  return edits;
}

/** Finds the first character, from `from` on, that is neither white space nor a control character. */
export function skipBlank(text: string, from: number): number {
  let at = from;
  while (at < text.length && text.charCodeAt(at) <= 0x20) at++;
  return at;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Finds the end of a string. @param from position of its opening quote */
export function endOfString(text: string, from: number): number {
  const quote = text.indexOf('"', from + 1);
  if (quote === -1) return text.length;
  if (text[quote - 1] !== "\\") return quote + 1;
  // One code unit at a time: a search that starts anew at each escaped quote takes 20 times as long.
  for (let at = from + 1; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === BACKSLASH) at++;
    else if (unit === QUOTE) return at + 1;
  }
  return text.length;
}

const SCALAR_END = /[\s",:[\]{}]/g;

/** Finds the end of a number, `true`, `false` or `null` that starts at `from`. @returns more than `from`, also if it is not JSON */
export function endOfScalar(text: string, from: number): number {
  SCALAR_END.lastIndex = from + 1;
  return SCALAR_END.exec(text)?.index ?? text.length;
}

/** Finds the end of any value that starts at `from`. */
export function endOfValue(text: string, from: number): number {
  const first = text[from];
  if (first === '"') return endOfString(text, from);
  if (first !== "{" && first !== "[") return endOfScalar(text, from);
  let depth = 0;
  for (let at = from; at < text.length;) {
    const unit = text[at];
    if (unit === '"') {
      at = endOfString(text, at);
      continue;
    }
    at++;
    if (unit === "{" || unit === "[") depth++;
    else if ((unit === "}" || unit === "]") && --depth === 0) return at;
  }
  return text.length;
}
