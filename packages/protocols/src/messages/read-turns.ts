import type { Dropped } from "../dropped.ts";
import {
  booleanMember,
  isAbsent,
  memberOf,
  objectMember,
  requireKnown,
  requireList,
  requireObject,
} from "../fields.ts";
import { requireText, textMember } from "../fields.ts";
import { isObject, type JsonObject } from "../json.ts";
import type { DocumentPart, ImagePart, MediaSource, Part, TextPart, ToolResultPart, Turn } from "../model.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";
import { toArguments } from "./arguments.ts";
import { fromSignature } from "./signature.ts";

/** Members of each type of block, besides `type` and `cache_control`. */
const MEMBERS: ReadonlyMap<unknown, ReadonlySet<string>> = new Map(
  Object.entries({
    text: "text citations",
    image: "source transformations",
    document: "source title context citations",
    search_result: "source title content citations",
    tool_use: "id name input caller toolset_name",
    tool_result: "tool_use_id content is_error toolset_name",
    thinking: "thinking signature",
    redacted_thinking: "data",
  }).map(([type, names]) => [type, new Set(["type", "cache_control", ...names.split(" ")])]),
);

/** Reads the instructions and messages of a request. @throws Untranslatable */
export function readTurns(body: JsonObject, dropped: Dropped): readonly Turn[] {
  const { system } = body;
  const messages = requireList(body["messages"], "messages");
  const turns = messages.map((item, index) => readTurn(requireObject(item, `messages[${index}]`), index, dropped));
  if (turns.at(-1)?.role === "assistant") {
    throw new Untranslatable(
      `messages[${turns.length - 1}].role`,
      "must not be 'assistant' in the last message: the upstream of this model does not continue an answer",
    );
  }
  if (isAbsent(system)) return turns;
  return [{ role: "system", parts: readBlocks(system, "system", dropped), at: "system" }, ...turns];
}

function readTurn(message: JsonObject, index: number, dropped: Dropped): Turn {
  const at = `messages[${index}]`;
  const { role } = message;
  if (role !== "user" && role !== "assistant" && role !== "system") throw new Untranslatable(`${at}.role`, NOT_CARRIED);
  requireKnown(message, new Set(["role", "content"]), at);
  return { role, parts: readBlocks(message["content"], `${at}.content`, dropped), at };
}

function readBlocks(content: unknown, at: string, dropped: Dropped): readonly Part[] {
  if (typeof content === "string") return [{ type: "text", text: content, at }];
  return requireList(content, at).flatMap((item, index) => {
    const place = `${at}[${index}]`;
    return readBlock(requireObject(item, place), place, dropped);
  });
}

function readBlock(block: JsonObject, at: string, dropped: Dropped): readonly Part[] {
  const { type } = block;
  const members = MEMBERS.get(type);
  if (members === undefined) throw new Untranslatable(`${at}.type`, NOT_CARRIED);
  requireKnown(block, members, at);
  const cacheControl = objectMember(block, "cache_control", at);
  const parts = readParts(block, at, dropped);
  const last = parts.at(-1);
  // The hint applies to the prompt up to the end of the block.
  return cacheControl === undefined || last === undefined ? parts : [...parts.slice(0, -1), { ...last, cacheControl }];
}

function readParts(block: JsonObject, at: string, dropped: Dropped): readonly Part[] {
  switch (block["type"]) {
    case "text":
      // Citations belong to an answer that a client sends back.
      if (Array.isArray(block["citations"]) && block["citations"].length > 0) dropped.add(`${at}.citations`);
      return [{ type: "text", text: requireText(block["text"], `${at}.text`), at }];
    case "image":
      return [readImage(block, at, dropped)];
    case "document":
    case "search_result":
      requireNoCitations(block, at);
      return block["type"] === "document" ? readDocument(block, at, dropped) : readSearchResult(block, at, dropped);
    case "tool_use":
      return [readToolUse(block, at)];
    case "tool_result":
      return [readToolResult(block, at, dropped)];
    case "thinking": {
      const place = `${at}.thinking`;
      const text = requireText(block["thinking"], place);
      const value = textMember(block, "signature", at) ?? "";
      const part = { type: "thinking", text, at: place } as const;
      return [value === "" ? part : { ...part, seal: fromSignature(value) }];
    }
    default: {
      const value = requireText(block["data"], `${at}.data`);
      return [{ type: "thinking", text: "", seal: { wire: "messages", kind: "encrypted", value }, at: `${at}.data` }];
    }
  }
}

function readImage(block: JsonObject, at: string, dropped: Dropped): ImagePart {
  if (!isAbsent(block["transformations"])) dropped.add(`${at}.transformations`);
  return { type: "image", source: readSource(requireObject(block["source"], `${at}.source`), `${at}.source`), at };
}

function readSource(source: JsonObject, at: string): MediaSource {
  switch (source["type"]) {
    case "base64": {
      const mediaType = requireText(source["media_type"], `${at}.media_type`);
      return { kind: "base64", mediaType, data: requireText(source["data"], `${at}.data`) };
    }
    case "url":
      return { kind: "url", url: requireText(source["url"], `${at}.url`) };
    case "file":
      return { kind: "file", id: requireText(source["file_id"], `${at}.file_id`) };
    default:
      throw new Untranslatable(`${at}.type`, NOT_CARRIED);
  }
}

function requireNoCitations(block: JsonObject, at: string): void {
  const citations = objectMember(block, "citations", at);
  if (citations !== undefined && booleanMember(citations, "enabled", `${at}.citations`) === true) {
    throw new Untranslatable(`${at}.citations`, NOT_CARRIED);
  }
}

/** Reads a document. A document of plain text or blocks becomes texts, after its title and context. */
function readDocument(block: JsonObject, at: string, dropped: Dropped): readonly Part[] {
  const source = requireObject(block["source"], `${at}.source`);
  const title = textMember(block, "title", at);
  const head = [title, textMember(block, "context", at)].flatMap((text) => toText(text, at));
  if (source["type"] === "text") return [...head, ...toText(requireText(source["data"], `${at}.source.data`), at)];
  if (source["type"] === "content") return [...head, ...readInner(source["content"], `${at}.source.content`, dropped)];
  const document: DocumentPart = { type: "document", source: readSource(source, `${at}.source`), at };
  return [
    ...head.slice(title === undefined ? 0 : 1),
    title === undefined ? document : { ...document, filename: title },
  ];
}

function readSearchResult(block: JsonObject, at: string, dropped: Dropped): readonly Part[] {
  const head = [textMember(block, "title", at), textMember(block, "source", at)].flatMap((text) => toText(text, at));
  return [...head, ...readInner(block["content"], `${at}.content`, dropped)];
}

/** Reads the content of a document or a search result, which holds no other documents. */
function readInner(content: unknown, at: string, dropped: Dropped): readonly Part[] {
  if (Array.isArray(content)) {
    for (const [index, block] of content.entries()) {
      const isInner = !isObject(block) || block["type"] === "text" || block["type"] === "image";
      if (!isInner) throw new Untranslatable(`${at}[${index}].type`, NOT_CARRIED);
    }
  }
  return readBlocks(content, at, dropped);
}

function toText(text: string | undefined, at: string): TextPart[] {
  return text === undefined || text === "" ? [] : [{ type: "text", text, at }];
}

function readToolUse(block: JsonObject, at: string): Part {
  const caller = objectMember(block, "caller", at);
  if (caller !== undefined && caller["type"] !== "direct") throw new Untranslatable(`${at}.caller`, NOT_CARRIED);
  requireNoToolset(block, at);
  return {
    type: "tool_call",
    id: requireText(block["id"], `${at}.id`),
    name: requireText(block["name"], `${at}.name`),
    arguments: toArguments(block["input"]),
    kind: "function",
    at,
  };
}

function requireNoToolset(block: JsonObject, at: string): void {
  if (!isAbsent(block["toolset_name"])) throw new Untranslatable(memberOf(at, "toolset_name"), NOT_CARRIED);
}

function readToolResult(block: JsonObject, at: string, dropped: Dropped): ToolResultPart {
  requireNoToolset(block, at);
  const content = isAbsent(block["content"]) ? [] : readBlocks(block["content"], `${at}.content`, dropped);
  return {
    type: "tool_result",
    callId: requireText(block["tool_use_id"], `${at}.tool_use_id`),
    content: content.map((part) => {
      if (part.type === "text" || part.type === "image" || part.type === "document") return part;
      throw new Untranslatable(part.at, NOT_CARRIED);
    }),
    isError: booleanMember(block, "is_error", at) ?? false,
    kind: "function",
    at,
  };
}
