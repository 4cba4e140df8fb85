/** Arguments of tool calls: JSON text in the neutral model, a value on the messages wire. */
import { isObject, type JsonObject, parseExactly } from "../json.ts";

/** Text of an input. A text as input is one that was no JSON: see `toToolInput`. */
export function toArguments(input: unknown): string {
  return typeof input === "string" ? input : JSON.stringify(input ?? {});
}

/**
 * Input of a tool call that a model made. A model can write what is no JSON object, all the more if it is cut off: then the input
 * is its text, so that nothing of it is lost.
 */
export function toToolInput(text: string): unknown {
  return toToolInputObject(text) ?? text;
}

/** Input of a tool call. @returns undefined if the text is no JSON object */
export function toToolInputObject(text: string): JsonObject | undefined {
  if (text.trim() === "") return {};
  try {
    const value = parseExactly(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
