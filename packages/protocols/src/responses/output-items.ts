import type { JsonObject } from "../json.ts";
import type { AnswerHead, AnswerPart, PartStart, ThinkingSeal } from "../model.ts";
import { itemId, type Status } from "./response-object.ts";
import { toEncryptedContent } from "./seals.ts";

/** Item of the output, of one part or, for a message, of consecutive texts and refusals. */
export interface OutputItem {
  readonly id: string;
  readonly position: number;
  readonly parts: ItemPart[];
}

/** Part of an item, with the text received so far. */
export interface ItemPart {
  readonly start: PartStart;
  text: string;
  seal?: ThinkingSeal;
}

/** True if parts of a kind are the content of a message. */
export function isContent({ type }: PartStart): boolean {
  return type === "text" || type === "refusal";
}

/**
 * Adds a part to the items of an answer. A text or refusal that follows another one belongs to the same message.
 *
 * @returns the item of the part
 */
export function addPart(items: OutputItem[], part: ItemPart, head: AnswerHead): OutputItem {
  const last = items.at(-1);
  const first = last?.parts[0];
  if (last !== undefined && first !== undefined && isContent(first.start) && isContent(part.start)) {
    last.parts.push(part);
    return last;
  }
  const position = items.length;
  const item = { id: idOf(part, head, position), position, parts: [part] };
  items.push(item);
  return item;
}

function idOf({ start }: ItemPart, head: AnswerHead, position: number): string {
  if (isContent(start)) return itemId("msg", head, position);
  if (start.type === "thinking") return itemId("rs", head, position);
  return itemId(start.type === "tool_call" && start.kind === "custom" ? "ctc" : "fc", head, position);
}

/** Part of an item, from a part of a whole answer. */
export function fromAnswerPart(part: AnswerPart): ItemPart {
  if (part.type === "tool_call") {
    const { type, id, name, kind } = part;
    return { start: { type, id, name, kind }, text: part.arguments };
  }
  const { type, text } = part;
  return { start: { type }, text, ...(part.type === "thinking" && part.seal !== undefined && { seal: part.seal }) };
}

/** Writes an item with its text so far. */
export function writeItem({ id, parts }: OutputItem, status: Status): JsonObject {
  const [part] = parts;
  if (part === undefined || isContent(part.start)) {
    return { id, type: "message", status, role: "assistant", content: parts.map(writeContent) };
  }
  if (part.start.type === "tool_call") {
    const { id: callId, name, kind } = part.start;
    const call = { call_id: callId, name, status };
    return kind === "custom"
      ? { id, type: "custom_tool_call", ...call, input: part.text }
      : { id, type: "function_call", ...call, arguments: part.text };
  }
  const encrypted = part.seal === undefined ? {} : { encrypted_content: toEncryptedContent(part.seal) };
  return { id, type: "reasoning", summary: part.text === "" ? [] : [writeSummary(part)], ...encrypted, status };
}

export function writeContent({ start, text }: ItemPart): JsonObject {
  return start.type === "refusal"
    ? { type: "refusal", refusal: text }
    : { type: "output_text", text, annotations: [], logprobs: [] };
}

export function writeSummary({ text }: ItemPart): JsonObject {
  return { type: "summary_text", text };
}
