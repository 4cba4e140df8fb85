import { toDataUrl } from "../data-url.ts";
import type { Dropped } from "../dropped.ts";
import type { JsonObject } from "../json.ts";
import type { MediaSource, Part, ToolCallPart, ToolResultPart, Turn } from "../model.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";
import { toToolCall } from "./tool-call.ts";

/** Writes turns as messages: results of tools become separate messages, before the rest of their turn. */
export function toMessages(turns: readonly Turn[], dropped: Dropped): readonly JsonObject[] {
  return turns.flatMap((turn) => toTurn(turn, dropped));
}

function toTurn({ role, parts, at }: Turn, dropped: Dropped): readonly JsonObject[] {
  for (const { at, cacheControl } of parts) if (cacheControl !== undefined) dropped.add(`${at}.cache_control`);
  if (role === "assistant") return toAssistant(parts, at, dropped);
  // Servers other than OpenAI's do not know the role `developer`; OpenAI treats `system` and `developer` alike.
  if (role !== "user") return parts.length === 0 ? [] : [{ role: "system", content: toContent(parts) }];
  const results = parts.filter((part) => part.type === "tool_result");
  const media = results.flatMap(({ content }) => content.filter(({ type }) => type !== "text"));
  const others = [...media, ...parts.filter((part) => part.type !== "tool_result")];
  return [
    ...results.map((result) => toToolMessage(result, dropped)),
    ...(others.length === 0 && results.length > 0 ? [] : [{ role: "user", content: toContent(others) }]),
  ];
}

/** Message with the result of a tool. It can hold only text; media follow in the user's message. */
function toToolMessage({ callId, content, isError, at }: ToolResultPart, dropped: Dropped): JsonObject {
  if (isError) dropped.add(`${at}.is_error`);
  for (const { at, cacheControl } of content) if (cacheControl !== undefined) dropped.add(`${at}.cache_control`);
  const texts = content.filter((part) => part.type === "text");
  return { role: "tool", tool_call_id: callId, content: texts.length === 0 ? "" : toContent(texts) };
}

/** Message of the assistant; none if there was only reasoning, which is left out. */
function toAssistant(parts: readonly Part[], at: string, dropped: Dropped): readonly JsonObject[] {
  const content: Part[] = [];
  const calls: ToolCallPart[] = [];
  const thoughts: string[] = [];
  for (const part of parts) {
    if (part.type === "tool_call") calls.push(part);
    else if (part.type !== "thinking") content.push(part);
    // A chat upstream makes no seals, so reasoning without a seal is its own.
    else if (part.seal === undefined) thoughts.push(part.text);
    else dropped.add(part.at);
  }
  // Texts that come separately are not read as one word.
  const reasoning = thoughts.join(THOUGHT_SEPARATOR);
  // A refusal between texts stays where it is, as a text.
  const isRefusal = content.length > 0 && content.every(({ type }) => type === "refusal");
  const isEmpty = content.length === 0 && calls.length === 0 && reasoning === "";
  if (isEmpty) return parts.length === 0 ? [{ role: "assistant", content: "" }] : [];
  if (content.some(({ type }) => type !== "text" && type !== "refusal"))
    throw new Untranslatable(`${at}.content`, NOT_CARRIED);
  return [
    {
      role: "assistant",
      content: content.length === 0 || isRefusal ? null : toContent(content),
      ...(reasoning !== "" && { reasoning_content: reasoning }),
      ...(isRefusal && { refusal: content.map(textOfPart).join("") }),
      ...(calls.length > 0 && { tool_calls: calls.map(toToolCall) }),
    },
  ];
}

const THOUGHT_SEPARATOR = "\n\n";

function textOfPart(part: Part): string {
  return "text" in part ? part.text : "";
}

/** Content of a message. A single text is written as a string, which even minimal servers understand. */
function toContent(parts: readonly Part[]): unknown {
  const [first] = parts;
  if (parts.length === 1 && first?.type === "text") return first.text;
  return parts.map(toPart);
}

function toPart(part: Part): JsonObject {
  switch (part.type) {
    case "text":
    case "refusal":
      return { type: "text", text: part.text };
    case "image": {
      const url = toUrl(part.source, part.at);
      return { type: "image_url", image_url: { url, ...(part.detail !== undefined && { detail: part.detail }) } };
    }
    case "document": {
      if (part.source.kind !== "base64") throw new Untranslatable(`${part.at}.source`, NOT_CARRIED);
      const { mediaType, data } = part.source;
      return { type: "file", file: { filename: part.filename ?? "document", file_data: toDataUrl(mediaType, data) } };
    }
    case "audio":
      return { type: "input_audio", input_audio: { data: part.data, format: part.format } };
    case "thinking":
    case "tool_call":
    case "tool_result":
      throw new Untranslatable(part.at, NOT_CARRIED);
  }
}

function toUrl(source: MediaSource, at: string): string {
  if (source.kind === "base64") return toDataUrl(source.mediaType, source.data);
  // A file is stored at one provider; no other provider knows its id.
  if (source.kind === "file") throw new Untranslatable(`${at}.source`, NOT_CARRIED);
  return source.url;
}
