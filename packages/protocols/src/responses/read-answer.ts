import { isObject, type JsonObject, textOf } from "../json.ts";
import type { AnswerPart, NeutralAnswer, Stop, ToolKind } from "../model.ts";
import { fromEncryptedContent } from "./seals.ts";
import { readResponsesUsage } from "./usage.ts";

/** Separator of the parts of a summary, which are joined to one text. */
export const SUMMARY_SEPARATOR = "\n\n";

/** Reads a response object. Items of hosted tools are skipped. */
export function readResponsesAnswer(answer: JsonObject): NeutralAnswer {
  const parts = listOf(answer["output"]).flatMap(partsOfItem);
  const usage = readResponsesUsage(answer["usage"]);
  return {
    ...headOf(answer),
    parts,
    stop: stopOf(
      answer,
      parts.some(({ type }) => type === "tool_call"),
    ),
    ...(usage !== undefined && { usage }),
    ...tierOf(answer),
  };
}

/** Members of a response that are known from its start. */
export function headOf(response: JsonObject): Pick<NeutralAnswer, "id" | "model" | "createdAt"> {
  const { id, model, created_at: createdAt } = response;
  return { id: textOf(id) ?? "", model: textOf(model) ?? "", ...(typeof createdAt === "number" && { createdAt }) };
}

export function tierOf(response: JsonObject): Pick<NeutralAnswer, "serviceTier"> {
  const serviceTier = textOf(response["service_tier"]);
  return serviceTier === undefined ? {} : { serviceTier };
}

/** Reads the stop reason of a response. @param hasToolCalls true if the response calls tools, which its status does not contain */
export function stopOf({ status, incomplete_details: details }: JsonObject, hasToolCalls: boolean): Stop {
  if (status === "completed") return { reason: hasToolCalls ? "tool_calls" : "end" };
  if (status !== "incomplete" || !isObject(details)) return {};
  if (details["reason"] === "content_filter") return { reason: "content_filter" };
  return details["reason"] === "max_output_tokens" ? { reason: "output_limit" } : {};
}

function partsOfItem(item: unknown): readonly AnswerPart[] {
  if (!isObject(item)) return [];
  if (item["type"] === "message") return listOf(item["content"]).flatMap(partsOfContent);
  if (item["type"] === "reasoning") return [thinkingOf(item)];
  const call = callOf(item);
  return call === undefined ? [] : [{ type: "tool_call", at: "", ...call }];
}

/** Tool call of an item; undefined for any other item. */
export function callOf(
  item: JsonObject,
): { readonly kind: ToolKind; readonly id: string; readonly name: string; readonly arguments: string } | undefined {
  const { type, call_id: id, name, arguments: json, input } = item;
  if (type !== "function_call" && type !== "custom_tool_call") return undefined;
  const isFunction = type === "function_call";
  return {
    kind: isFunction ? "function" : "custom",
    id: textOf(id) ?? textOf(item["id"]) ?? "",
    name: textOf(name) ?? "",
    arguments: textOf(isFunction ? json : input) ?? "",
  };
}

function partsOfContent(content: unknown): readonly AnswerPart[] {
  if (!isObject(content)) return [];
  const { type, text, refusal } = content;
  if (type === "output_text") return [{ type: "text", text: textOf(text) ?? "", at: "" }];
  return type === "refusal" ? [{ type: "refusal", text: textOf(refusal) ?? "", at: "" }] : [];
}

function thinkingOf(item: JsonObject): AnswerPart {
  const sealed = textOf(item["encrypted_content"]);
  return {
    type: "thinking",
    text: reasoningText(item),
    at: "",
    ...(sealed !== undefined && { seal: fromEncryptedContent(sealed, textOf(item["id"])) }),
  };
}

/** Readable text of a reasoning item: its summary, then its content. */
export function reasoningText({ summary, content }: JsonObject): string {
  return [...listOf(summary), ...listOf(content)]
    .flatMap((part) => (isObject(part) ? (textOf(part["text"]) ?? []) : []))
    .join(SUMMARY_SEPARATOR);
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
