import { toDataUrl } from "../data-url.ts";
import type { Dropped } from "../dropped.ts";
import type { JsonObject } from "../json.ts";
import type { DocumentPart, ImagePart, Part, ToolResultPart, Turn } from "../model.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";

/** Writes turns as input items: a message for consecutive content parts, and an item for every other part. @throws Untranslatable */
export function toInput(turns: readonly Turn[], dropped: Dropped): readonly JsonObject[] {
  return turns.flatMap((turn) => toItems(turn, dropped));
}

function toItems({ role, parts }: Turn, dropped: Dropped): readonly JsonObject[] {
  const items: JsonObject[] = [];
  let content: JsonObject[] | undefined;
  for (const part of parts) {
    if (part.cacheControl !== undefined) dropped.add(`${part.at}.cache_control`);
    const item = toItem(part, dropped);
    if (item !== undefined) {
      content = undefined;
      items.push(...item);
      continue;
    }
    if (content === undefined) {
      content = [];
      items.push({ type: "message", role, content });
    }
    content.push(role === "assistant" ? toOutputContent(part) : toInputContent(part));
  }
  return items;
}

/** Items for a part that is not content of a message; undefined for a content part. */
function toItem(part: Part, dropped: Dropped): readonly JsonObject[] | undefined {
  switch (part.type) {
    case "thinking": {
      // An upstream accepts no reasoning without a seal of its own kind.
      const { seal, text } = part;
      if (seal?.wire !== "responses") {
        dropped.add(part.at);
        return [];
      }
      const summary = text === "" ? [] : [{ type: "summary_text", text }];
      return [
        { type: "reasoning", ...(seal.id !== undefined && { id: seal.id }), summary, encrypted_content: seal.value },
      ];
    }
    case "tool_call": {
      const { id, name, arguments: text, kind } = part;
      return kind === "custom"
        ? [{ type: "custom_tool_call", call_id: id, name, input: text }]
        : [{ type: "function_call", call_id: id, name, arguments: text === "" ? "{}" : text }];
    }
    case "tool_result":
      return [toOutput(part, dropped)];
    case "text":
    case "refusal":
    case "image":
    case "document":
    case "audio":
      return undefined;
  }
}

/** Result of a tool: a single text is written as one. */
function toOutput({ callId, content, isError, kind, at }: ToolResultPart, dropped: Dropped): JsonObject {
  if (isError) dropped.add(`${at}.is_error`);
  for (const part of content) if (part.cacheControl !== undefined) dropped.add(`${part.at}.cache_control`);
  const [first] = content;
  const isText = content.length === 1 && first?.type === "text";
  const output = content.length === 0 ? "" : isText ? first.text : content.map(toInputContent);
  return { type: kind === "custom" ? "custom_tool_call_output" : "function_call_output", call_id: callId, output };
}

function toOutputContent(part: Part): JsonObject {
  if (part.type === "text") return { type: "output_text", text: part.text };
  if (part.type === "refusal") return { type: "refusal", refusal: part.text };
  throw new Untranslatable(part.at, NOT_CARRIED);
}

function toInputContent(part: Part): JsonObject {
  switch (part.type) {
    case "text":
    case "refusal":
      return { type: "input_text", text: part.text };
    case "image":
      return { type: "input_image", ...toImage(part), detail: part.detail ?? "auto" };
    case "document":
      return { type: "input_file", ...toFile(part) };
    case "audio":
    case "thinking":
    case "tool_call":
    case "tool_result":
      throw new Untranslatable(part.at, NOT_CARRIED);
  }
}

function toImage({ source, at }: ImagePart): JsonObject {
  if (source.kind === "base64") return { image_url: toDataUrl(source.mediaType, source.data) };
  // A file is stored at one provider; no other provider knows its id.
  if (source.kind === "file") throw new Untranslatable(at, NOT_CARRIED);
  return { image_url: source.url };
}

function toFile({ source, filename, at }: DocumentPart): JsonObject {
  if (source.kind === "file") throw new Untranslatable(at, NOT_CARRIED);
  if (source.kind === "url") return { file_url: source.url };
  return { filename: filename ?? "document", file_data: toDataUrl(source.mediaType, source.data) };
}
