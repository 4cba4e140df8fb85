import { badField } from "../../errors/refusal.ts";
import type { InputCollector } from "../../request/input-collector.ts";
import { isObject, type JsonObject } from "../../wire/json.ts";

/**
 * Collector of the input of messages: texts; images and documents in base64, which count by what they hold and not as text; and
 * everything of unknown shape by its bytes, and additionally as a file, because it may refer to something of any length.
 */

/** Collects one kind of block. @returns false if it may be of any length */
type CollectBlock = (block: JsonObject, path: string, input: InputCollector) => boolean;

interface KnownBlock {
  readonly members: ReadonlySet<string>;
  readonly collect: CollectBlock;
}

/** Members of any block, in addition to its content. */
const COMMON_MEMBERS = ["type", "cache_control"];

const KNOWN_BLOCKS: ReadonlyMap<unknown, KnownBlock> = new Map(
  Object.entries({
    text: known(["text", "citations"], ({ text, citations }, _, input) => {
      input.addTextsOf(citations ?? undefined);
      return addText(text, input);
    }),
    image: known(["source"], ({ source }, _, input) => collectImage(source, input)),
    document: known(["source", "title", "context", "citations"], (block, path, input) => {
      input.addOther(block["citations"]);
      const hasTexts = [block["title"], block["context"]].every((text) => addText(text, input));
      return hasTexts && collectDocument(block["source"], path, input);
    }),
    search_result: known(["source", "title", "content", "citations"], (block, path, input) => {
      input.addOther(block["citations"]);
      const hasTexts = [block["source"], block["title"]].every((text) => addText(text, input));
      collectInner(block["content"], path, input);
      return hasTexts;
    }),
    tool_use: known(["id", "name", "input", "caller"], ({ id, name, input: given, caller }, _, input) => {
      input.toolCalls++;
      input.addOther(id);
      input.addOther(caller);
      input.addTextsOf(given);
      return addText(name, input);
    }),
    tool_result: known(["tool_use_id", "content", "is_error"], ({ tool_use_id: id, content }, path, input) => {
      input.toolCalls++;
      input.addOther(id);
      collectInner(content, path, input);
      return true;
    }),
    thinking: known(["thinking", "signature"], ({ thinking, signature }, _, input) => {
      return addText(thinking, input) && addText(signature, input);
    }),
    redacted_thinking: known(["data"], ({ data }, _, input) => addText(data, input)),
  } satisfies Record<string, KnownBlock>),
);

function known(members: readonly string[], collect: CollectBlock): KnownBlock {
  return { members: new Set([...COMMON_MEMBERS, ...members]), collect };
}

/** Collects the input of messages. @throws Refusal 400 that names the content or block which has no shape that the API knows */
export function collectMessages(messages: readonly JsonObject[], input: InputCollector): void {
  messages.forEach((message, index) => {
    input.messages++;
    for (const [name, value] of Object.entries(message)) {
      if (name === "content") collectContent(value, `messages[${index}].content`, input);
      else if (name !== "role" || !isRole(value)) addUnknown(value, input, name);
    }
  });
}

/** Length of a role, which templates make a token or two. */
const MAX_ROLE_CHARS = 20;

function isRole(value: unknown): boolean {
  return typeof value === "string" && value.length <= MAX_ROLE_CHARS;
}

/** Collects a text, or a list of blocks. @throws Refusal 400 that names it */
export function collectContent(content: unknown, path: string, input: InputCollector): void {
  if (typeof content === "string") return input.addText(content);
  if (!Array.isArray(content)) throw badField(path, "must be a string or an array of blocks");
  content.forEach((block: unknown, index) => {
    if (!isObject(block)) throw badField(`${path}[${index}]`, "must be an object");
    collectBlock(block, `${path}[${index}]`, input);
  });
}

function collectInner(content: unknown, path: string, input: InputCollector): void {
  if (content !== undefined && content !== null) collectContent(content, `${path}.content`, input);
}

function collectBlock(block: JsonObject, path: string, input: InputCollector): void {
  const kind = KNOWN_BLOCKS.get(block["type"]);
  const hasKnownShape = kind !== undefined && Object.keys(block).every((name) => kind.members.has(name));
  if (hasKnownShape && kind.collect(block, path, input)) input.addOther(block["cache_control"]);
  else addUnknown(block, input);
}

/** Adds a value of unknown kind. */
function addUnknown(value: unknown, input: InputCollector, name = ""): void {
  input.addOther(name);
  input.addOther(value);
  input.addMedium({ kind: "file", base64: undefined, mediaType: undefined });
}

function addText(text: unknown, input: InputCollector): boolean {
  if (text === undefined || text === null) return true;
  if (typeof text !== "string") return false;
  input.addText(text);
  return true;
}

function collectImage(source: unknown, input: InputCollector): boolean {
  if (!isObject(source)) return false;
  const { type, data, media_type: mediaType } = source;
  if (type === "url") {
    input.addMedium({ kind: "image", base64: undefined, detail: undefined });
    return typeof source["url"] === "string" && /^https?:/i.test(source["url"]);
  }
  const isImage = typeof mediaType === "string" && mediaType.startsWith("image/");
  if (type !== "base64" || typeof data !== "string" || !isImage) return false;
  input.addMedium({ kind: "image", base64: data, detail: undefined });
  return true;
}

function collectDocument(source: unknown, path: string, input: InputCollector): boolean {
  if (!isObject(source)) return false;
  const { type, data, media_type: mediaType, content } = source;
  if (type === "text") return addText(data, input);
  if (type === "content") {
    collectInner(content, `${path}.source`, input);
    return true;
  }
  if (type !== "base64" || typeof data !== "string" || typeof mediaType !== "string") return false;
  input.addMedium({ kind: "file", base64: data, mediaType: mediaType.trim().toLowerCase() });
  return true;
}
