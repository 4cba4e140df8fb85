import type { Dropped } from "../dropped.ts";
import type { JsonObject } from "../json.ts";
import type { MediaSource, Part, ThinkingPart, ToolCallPart, ToolResultPart, Turn } from "../model.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";
import { toToolInputObject } from "./arguments.ts";

const IMAGE_TYPES = new Set(["image/jpeg", "image/png", "image/gif", "image/webp"]);

/** Writes turns: leading instructions as `system`, the others as messages. A message can hold the results of several calls. */
export function toTurns(turns: readonly Turn[], dropped: Dropped): JsonObject {
  const first = turns.findIndex(({ role }) => !isInstruction(role));
  const leading = first === -1 ? turns : turns.slice(0, first);
  const system = withoutBlanks(leading.flatMap(({ parts }) => toBlocks(parts, dropped)));
  const messages: { readonly role: string; readonly content: JsonObject[] }[] = [];
  for (const turn of turns.slice(leading.length)) {
    const content = toBlocks(turn.parts, dropped);
    const previous = messages.at(-1);
    const role = isInstruction(turn.role) ? "system" : turn.role;
    const isBlank = content.every(isBlankText);
    if (isBlank && (role === "user" || content.length > 0)) {
      throw new Untranslatable(`${turn.at}.content`, "must not be empty");
    }
    if (previous?.role === role) previous.content.push(...content);
    else if (!isBlank) messages.push({ role, content });
  }
  const written = messages.map(({ role, content }) => ({ role, content: withoutBlanks(content) }));
  return { ...(system.length > 0 && { system }), messages: written };
}

/** True for a text of white space alone, which the messages wire refuses. */
function isBlankText({ type, text }: JsonObject): boolean {
  return type === "text" && typeof text === "string" && text.trim() === "";
}

/** Makes each blank text a part of the text before it or, if there is none, of the text after it; else it is left out. */
function withoutBlanks(blocks: readonly JsonObject[]): JsonObject[] {
  const kept: JsonObject[] = [];
  let blank: JsonObject | undefined;
  for (const block of blocks) {
    const last = kept.at(-1);
    if (!isBlankText(block)) kept.push(blank !== undefined && block["type"] === "text" ? joined(blank, block) : block);
    else if (last?.["type"] === "text") kept[kept.length - 1] = joined(last, block);
    else blank = blank === undefined ? block : joined(blank, block);
    if (block["type"] === "text" && !isBlankText(block)) blank = undefined;
  }
  return kept;
}

function joined(first: JsonObject, second: JsonObject): JsonObject {
  return { ...first, ...second, text: `${String(first["text"])}${String(second["text"])}` };
}

function isInstruction(role: Turn["role"]): boolean {
  return role === "system" || role === "developer";
}

function toBlocks(parts: readonly Part[], dropped: Dropped): JsonObject[] {
  return parts.flatMap((part) => {
    const block = toBlock(part, dropped);
    if (block === undefined) return [];
    return [part.cacheControl === undefined ? block : { ...block, cache_control: part.cacheControl }];
  });
}

/** @returns undefined for a part that is left out: the messages wire refuses texts without characters */
function toBlock(part: Part, dropped: Dropped): JsonObject | undefined {
  switch (part.type) {
    case "text":
    case "refusal":
      return part.text === "" ? undefined : { type: "text", text: part.text };
    case "image":
      if (part.detail !== undefined && part.detail !== "auto") dropped.add(`${part.at}.detail`);
      return { type: "image", source: toImageSource(part.source, part.at) };
    case "document":
      return {
        type: "document",
        source: toDocumentSource(part.source, part.at),
        ...(part.filename !== undefined && { title: part.filename }),
      };
    case "thinking":
      return toThinking(part, dropped);
    case "tool_call":
      return toToolUse(part);
    case "tool_result":
      return toToolResult(part, dropped);
    case "audio":
      throw new Untranslatable(part.at, NOT_CARRIED);
  }
}

function toImageSource(source: MediaSource, at: string): JsonObject {
  if (source.kind === "base64" && !IMAGE_TYPES.has(source.mediaType)) {
    throw new Untranslatable(at, "must be an image in JPEG, PNG, GIF or WebP for this model");
  }
  return toSource(source, at);
}

function toDocumentSource(source: MediaSource, at: string): JsonObject {
  if (source.kind === "base64" && source.mediaType !== "application/pdf") {
    throw new Untranslatable(at, "must be a PDF for this model");
  }
  return toSource(source, at);
}

function toSource(source: MediaSource, at: string): JsonObject {
  switch (source.kind) {
    case "base64":
      return { type: "base64", media_type: source.mediaType, data: source.data };
    case "url":
      return { type: "url", url: source.url };
    // A file is stored at one provider; no other provider knows its id.
    case "file":
      throw new Untranslatable(at, NOT_CARRIED);
  }
}

/** An upstream of the messages wire refuses reasoning that it cannot recognise as its own. */
function toThinking({ text, seal, at }: ThinkingPart, dropped: Dropped): JsonObject | undefined {
  if (seal?.wire !== "messages") {
    dropped.add(at);
    return undefined;
  }
  if (seal.kind === "encrypted") return { type: "redacted_thinking", data: seal.value };
  return { type: "thinking", thinking: text, signature: seal.value };
}

function toToolUse({ id, name, arguments: text, kind, at }: ToolCallPart): JsonObject {
  if (kind === "custom") throw new Untranslatable(at, NOT_CARRIED);
  const input = toToolInputObject(text);
  if (input === undefined) throw new Untranslatable(at, "must have a JSON object as arguments for this model");
  return { type: "tool_use", id: toToolId(id), name, input };
}

function toToolResult({ callId, content, isError, at, kind }: ToolResultPart, dropped: Dropped): JsonObject {
  if (kind === "custom") throw new Untranslatable(at, NOT_CARRIED);
  const blocks = withoutBlanks(toBlocks(content, dropped));
  return {
    type: "tool_result",
    tool_use_id: toToolId(callId),
    ...(blocks.length > 0 && { content: blocks }),
    ...(isError && { is_error: true }),
  };
}

/** Id of a tool call, in the characters that the messages wire allows. Different ids stay different. */
function toToolId(id: string): string {
  if (/^[a-zA-Z0-9_-]+$/.test(id)) return id;
  const encoded = id.replace(/[^a-zA-Z0-9-]/g, (letter) => `_${letter.charCodeAt(0).toString(16)}_`);
  return encoded === "" ? "_" : encoded;
}
