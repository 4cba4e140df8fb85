import { printable } from "../../output/printable.ts";
import { MAX_ROWS } from "./inputs.ts";

/** Maximum length of a text within a result, in characters. */
const MAX_TEXT_CHARS = 1_000;
/** Maximum depth of a result. Results of commands have less than ten levels. */
const MAX_DEPTH = 20;

/** Number of elements that were left out of a list. */
interface Omission {
  /** Place of the list, e.g. `guardrail.model_deny`. */
  readonly list: string;
  readonly count: number;
}

/**
 * Bounds and escapes a result: lists have at most 100 elements and texts at most 1,000 characters, and characters that control terminals or
 * reorder text become visible escapes. Other people may have written the texts: names, models, messages of upstreams. `omitted` names the
 * lists that were cut, if there are any.
 */
export function boundResult(value: unknown): Readonly<Record<string, unknown>> {
  const omitted: Omission[] = [];
  const bounded = bound(value, [], omitted);
  const result = isObject(bounded) ? bounded : { value: bounded };
  return omitted.length === 0 ? result : { ...result, omitted: omitted.slice(0, MAX_ROWS) };
}

function bound(value: unknown, path: readonly string[], omitted: Omission[]): unknown {
  if (typeof value === "string") return boundText(value);
  if (typeof value !== "object" || value === null || path.length >= MAX_DEPTH) return isObject(value) ? null : value;
  if (Array.isArray(value)) {
    if (value.length > MAX_ROWS) omitted.push({ list: path.join("."), count: value.length - MAX_ROWS });
    return value.slice(0, MAX_ROWS).map((element, index) => bound(element, [...path, String(index)], omitted));
  }
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [boundText(name), bound(member, [...path, name], omitted)]),
  );
}

function boundText(text: string): string {
  if (text.length <= MAX_TEXT_CHARS) return printable(text);
  // A character of two units is not cut in half.
  return `${printable(text.slice(0, MAX_TEXT_CHARS).replace(/[\ud800-\udbff]$/, ""))}…`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
