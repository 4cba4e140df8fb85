/** Arguments of tool calls: JSON text in the neutral model, a value on the messages wire. */
import { isObject, type JsonObject, parseExactly } from "../json.ts";

/** Text of an input. An input that is a text was not JSON: see `toToolInput`. */
export function toArguments(input: unknown): string {
  return typeof input === "string" ? input : JSON.stringify(input ?? {});
}

/**
 * Input of a tool call that a model made. If the model did not write a JSON object, e.g. because it was cut off, the input is its text, so
 * that nothing is lost.
 */
export function toToolInput(text: string): unknown {
  return toToolInputObject(text) ?? text;
}

/** Input of a tool call. @returns undefined if the text is not a JSON object */
export function toToolInputObject(text: string): JsonObject | undefined {
  if (text.trim() === "") return {};
  try {
    const value = parseExactly(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
