import { isObject, type JsonObject, textOf } from "../json.ts";
import type { AnswerPart, NeutralAnswer, ToolCallPart } from "../model.ts";
import { reasoningText } from "./reasoning.ts";
import { readChatUsage } from "./read-usage.ts";
import { readFinish } from "./stop.ts";

/** Reads an answer of the chat wire. Translated requests ask for one choice, so only the first is read. */
export function readChatAnswer(answer: JsonObject): NeutralAnswer {
  const choices = answer["choices"];
  const first: unknown = Array.isArray(choices) ? choices[0] : undefined;
  const choice = isObject(first) ? first : {};
  const message = isObject(choice["message"]) ? choice["message"] : {};
  const parts = readParts(message);
  const hasCalls = parts.some(({ type }) => type === "tool_call");
  const hasRefusal = parts.some(({ type }) => type === "refusal");
  const usage = readChatUsage(answer);
  const { created, service_tier: serviceTier } = answer;
  return {
    id: textOf(answer["id"]) ?? "",
    model: textOf(answer["model"]) ?? "",
    ...(typeof created === "number" && { createdAt: created }),
    parts,
    stop: readFinish(choice["finish_reason"], { hasCalls, hasRefusal }),
    ...(usage !== undefined && { usage }),
    ...(typeof serviceTier === "string" && { serviceTier }),
  };
}

function readParts(message: JsonObject): readonly AnswerPart[] {
  const reasoning = reasoningText(message);
  const text = contentText(message["content"]);
  const refusal = textOf(message["refusal"]) ?? "";
  return [
    ...(reasoning === "" ? [] : [{ type: "thinking" as const, text: reasoning, at: "" }]),
    ...(text === "" ? [] : [{ type: "text" as const, text, at: "" }]),
    ...(refusal === "" ? [] : [{ type: "refusal" as const, text: refusal, at: "" }]),
    ...readCalls(message["tool_calls"]),
  ];
}

/** Text of a `content`, which some upstreams write as a list of parts. */
export function contentText(content: unknown): string {
  if (!Array.isArray(content)) return textOf(content) ?? "";
  return content.map((part: unknown) => (isObject(part) ? (textOf(part["text"]) ?? "") : "")).join("");
}

function readCalls(list: unknown): readonly ToolCallPart[] {
  if (!Array.isArray(list)) return [];
  return list.filter(isObject).map((call) => {
    const { kind, name, text } = readCall(call);
    return { type: "tool_call", id: textOf(call["id"]) ?? "", name, arguments: text, kind, at: "" };
  });
}

/** Reads a tool call of an answer, or a piece of one. */
export function readCall(call: JsonObject) {
  const kind = isObject(call["custom"]) ? "custom" : "function";
  const holder = isObject(call[kind]) ? call[kind] : {};
  const written = holder[kind === "custom" ? "input" : "arguments"];
  // Some upstreams write the arguments as an object.
  const text = isObject(written) ? JSON.stringify(written) : (textOf(written) ?? "");
  return { kind, name: textOf(holder["name"]) ?? "", text } as const;
}
