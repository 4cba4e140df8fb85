export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isRawJson(value);
}

/** The value if it is a text that is not empty. */
export function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Members of `JSON` that TypeScript's library does not declare yet. */
interface ExactJson {
  rawJSON(text: string): unknown;
  isRawJSON(value: unknown): boolean;
}

const EXACT = JSON as unknown as ExactJson;

/** True for a number from `parseExactly` that a JavaScript number cannot represent. */
export function isRawJson(value: unknown): boolean {
  return EXACT.isRawJSON(value);
}

/** Matches a text that may contain a number which a JavaScript number cannot represent: 16 digits, or an exponent. */
const INEXACT = /[\d.]{16}|\d[eE][+-]?\d/;

/**
 * Parses a text so that `JSON.stringify` writes every number unchanged: a number that a JavaScript number cannot represent is kept as text.
 *
 * @throws SyntaxError
 */
export function parseExactly(text: string): unknown {
  if (!INEXACT.test(text)) return JSON.parse(text);
  return JSON.parse(
    text,
    function keepDigits(this: unknown, _key: string, value: unknown, ...rest: unknown[]): unknown {
      if (typeof value !== "number") return value;
      const [context] = rest as [{ readonly source?: string }?];
      const source = context?.source;
      return source === undefined || isExact(source) ? value : EXACT.rawJSON(source);
    },
  );
}

/** True if a number in this notation keeps its value when it is read and written; trailing zeros do not matter. */
function isExact(source: string): boolean {
  return source.length <= 15 && !/[eE]/.test(source);
}

/** Parses a text exactly. @returns undefined if it is not JSON */
export function parseOrUndefined(text: string): unknown {
  try {
    return parseExactly(text);
  } catch {
    return undefined;
  }
}
