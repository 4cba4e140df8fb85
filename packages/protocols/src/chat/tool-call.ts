import type { JsonObject } from "../json.ts";
import type { ToolCallPart } from "../model.ts";

/** Writes a tool call of an assistant's message, in a request or an answer. */
export function toToolCall({ id, name, arguments: text, kind }: Omit<ToolCallPart, "type" | "at">): JsonObject {
  const call = kind === "custom" ? { name, input: text } : { name, arguments: text };
  return { id, type: kind, [kind]: call };
}
