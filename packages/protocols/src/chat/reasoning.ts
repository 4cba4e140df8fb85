/**
 * Reasoning in messages of the chat wire, which has no official format for it. `reasoning_content` is its text, as most upstreams write it.
 * `thinking_blocks` are the blocks of a messages upstream and `reasoning_details` the items of a responses upstream, with their seals. A
 * client that sends the assistant's message back preserves them.
 */
import { isObject, type JsonObject, textOf } from "../json.ts";
import type { AnswerPart, ThinkingPart } from "../model.ts";

/** Members of a message that hold reasoning; `reasoning` is another name of `reasoning_content`. */
export const REASONING_MEMBERS = ["reasoning_content", "reasoning", "thinking_blocks", "reasoning_details"] as const;

/** Reads the reasoning of a message; unknown formats are skipped. */
export function readReasoning(message: JsonObject, at: string): readonly ThinkingPart[] {
  const sealed = [...readBlocks(message, at), ...readDetails(message, at)];
  if (sealed.length > 0) return sealed;
  const text = reasoningText(message);
  return text === "" ? [] : [{ type: "thinking", text, at: `${at}.reasoning_content` }];
}

/** Text of the reasoning of a message, or of a piece of one. Upstreams that write it under both names repeat it. */
export function reasoningText(message: JsonObject): string {
  return textOf(message["reasoning_content"]) ?? textOf(message["reasoning"]) ?? "";
}

function readBlocks(message: JsonObject, at: string): readonly ThinkingPart[] {
  return listOf(message["thinking_blocks"]).flatMap((block, index): ThinkingPart[] => {
    const place = { type: "thinking" as const, at: `${at}.thinking_blocks[${index}]` };
    const { type, thinking, signature, data } = block;
    if (type === "redacted_thinking" && typeof data === "string") {
      return [{ ...place, text: "", seal: { wire: "messages", kind: "encrypted", value: data } }];
    }
    if (type !== "thinking" || typeof thinking !== "string") return [];
    if (typeof signature !== "string" || signature === "") return [{ ...place, text: thinking }];
    return [{ ...place, text: thinking, seal: { wire: "messages", kind: "signature", value: signature } }];
  });
}

function readDetails(message: JsonObject, at: string): readonly ThinkingPart[] {
  const summaries = new Map<unknown, string>();
  return listOf(message["reasoning_details"]).flatMap((detail, index): ThinkingPart[] => {
    const { type, id, summary, data } = detail;
    if (type === "reasoning.summary" && typeof summary === "string") summaries.set(id, summary);
    if (type !== "reasoning.encrypted" || typeof data !== "string") return [];
    const seal = {
      wire: "responses" as const,
      kind: "encrypted" as const,
      value: data,
      ...(typeof id === "string" && { id }),
    };
    return [{ type: "thinking", text: summaries.get(id) ?? "", seal, at: `${at}.reasoning_details[${index}]` }];
  });
}

function listOf(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** Members of an assistant's message for the reasoning in its parts; empty without reasoning. */
export function toReasoning(parts: readonly AnswerPart[]): JsonObject {
  const thinking = parts.filter((part) => part.type === "thinking");
  const text = thinking.map((part) => part.text).join("");
  return { ...(text !== "" && { reasoning_content: text }), ...toSealed(thinking) };
}

/** Members for reasoning with a seal. */
export function toSealed(thinking: readonly ThinkingPart[]): JsonObject {
  const blocks = thinking.flatMap(toBlock);
  const details = thinking.flatMap(toDetails);
  return {
    ...(blocks.length > 0 && { thinking_blocks: blocks }),
    ...(details.length > 0 && { reasoning_details: details }),
  };
}

function toBlock({ text, seal }: ThinkingPart): JsonObject[] {
  if (seal?.wire !== "messages") return [];
  if (seal.kind === "encrypted") return [{ type: "redacted_thinking", data: seal.value }];
  return [{ type: "thinking", thinking: text, signature: seal.value }];
}

function toDetails({ text, seal }: ThinkingPart): JsonObject[] {
  if (seal?.wire !== "responses") return [];
  const id = seal.id === undefined ? {} : { id: seal.id };
  return [
    ...(text === "" ? [] : [{ type: "reasoning.summary", ...id, summary: text }]),
    { type: "reasoning.encrypted", ...id, data: seal.value },
  ];
}
