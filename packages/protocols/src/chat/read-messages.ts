import { readDataUrl, readMediaUrl } from "../data-url.ts";
import type { Dropped } from "../dropped.ts";
import { isAbsent, memberOf, objectMember, requireKnown, requireList, requireObject } from "../fields.ts";
import { requireText, textMember } from "../fields.ts";
import type { JsonObject } from "../json.ts";
import type {
  AudioPart,
  DocumentPart,
  ImagePart,
  Part,
  RefusalPart,
  TextPart,
  ToolCallPart,
  ToolResultPart,
  Turn,
} from "../model.ts";
import { readAudio, readBreakpoint } from "../openai/read-members.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";
import { readReasoning, REASONING_MEMBERS } from "./reasoning.ts";

const MEMBERS = new Set(["role", "content"]);
/** Member that names the author. No other wire has it. */
const AUTHOR = "name";
const ASSISTANT_MEMBERS = new Set([
  ...MEMBERS,
  "refusal",
  "tool_calls",
  "audio",
  "function_call",
  ...REASONING_MEMBERS,
]);
const TOOL_MEMBERS = new Set([...MEMBERS, "tool_call_id"]);
const TOOL_CALL_MEMBERS = new Set(["id", "type", "index", "function", "custom"]);
const HINTS = ["cache_control", "prompt_cache_breakpoint"];

/** Reads the messages of a request, one turn each. @throws Untranslatable */
export function readMessages(value: unknown, dropped: Dropped): readonly Turn[] {
  /** Ids of calls of custom tools, because a result message does not contain the kind of its tool. */
  const customIds = new Set<string>();
  return requireList(value, "messages").map((item, index) => {
    const at = `messages[${index}]`;
    const turn = readMessage(requireObject(item, at), at, customIds, dropped);
    for (const part of turn.parts) if (part.type === "tool_call" && part.kind === "custom") customIds.add(part.id);
    return turn;
  });
}

function readMessage(message: JsonObject, at: string, customIds: ReadonlySet<string>, dropped: Dropped): Turn {
  const { role } = message;
  if (!isAbsent(message[AUTHOR])) dropped.add(memberOf(at, AUTHOR));
  switch (role) {
    case "system":
    case "developer":
    case "user":
      requireKnown(message, withAuthor(MEMBERS), at);
      return { role, parts: readContent(message["content"], `${at}.content`, dropped), at };
    case "assistant":
      return { role, parts: readAssistant(message, at, dropped), at };
    case "tool":
      return { role: "user", parts: [readToolResult(message, at, customIds, dropped)], at };
    default:
      throw new Untranslatable(`${at}.role`, NOT_CARRIED);
  }
}

function withAuthor(members: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...members, AUTHOR]);
}

function readAssistant(message: JsonObject, at: string, dropped: Dropped): readonly Part[] {
  for (const name of ["audio", "function_call"]) {
    if (!isAbsent(message[name])) throw new Untranslatable(memberOf(at, name), NOT_CARRIED);
  }
  // A client sends back the whole message that it received, with members that other providers add.
  for (const name of Object.keys(message)) {
    const isKnown = ASSISTANT_MEMBERS.has(name) || name === AUTHOR || isEmpty(message[name]);
    if (!isKnown) dropped.add(memberOf(at, name));
  }
  const { content } = message;
  const refusal = textMember(message, "refusal", at);
  return [
    ...readReasoning(message, at),
    ...(isAbsent(content) ? [] : readContent(content, `${at}.content`, dropped)),
    ...(refusal === undefined ? [] : [{ type: "refusal" as const, text: refusal, at: `${at}.refusal` }]),
    ...readToolCalls(message["tool_calls"], `${at}.tool_calls`),
  ];
}

function isEmpty(value: unknown): boolean {
  return isAbsent(value) || (Array.isArray(value) && value.length === 0);
}

function readToolCalls(value: unknown, at: string): readonly ToolCallPart[] {
  if (isAbsent(value)) return [];
  return requireList(value, at).map((item, index) =>
    readToolCall(requireObject(item, `${at}[${index}]`), `${at}[${index}]`),
  );
}

function readToolCall(call: JsonObject, at: string): ToolCallPart {
  requireKnown(call, TOOL_CALL_MEMBERS, at);
  const kind = call["type"] ?? "function";
  if (kind !== "function" && kind !== "custom") throw new Untranslatable(`${at}.type`, NOT_CARRIED);
  const holder = requireObject(call[kind], `${at}.${kind}`);
  const text = kind === "function" ? "arguments" : "input";
  return {
    type: "tool_call",
    id: requireText(call["id"], `${at}.id`),
    name: requireText(holder["name"], `${at}.${kind}.name`),
    arguments: requireText(holder[text], `${at}.${kind}.${text}`),
    kind,
    at,
  };
}

function readToolResult(message: JsonObject, at: string, customIds: ReadonlySet<string>, dropped: Dropped): Part {
  requireKnown(message, withAuthor(TOOL_MEMBERS), at);
  const content = readContent(message["content"], `${at}.content`, dropped);
  const callId = requireText(message["tool_call_id"], `${at}.tool_call_id`);
  return {
    type: "tool_result",
    callId,
    content: content.map(toResultPart),
    isError: false,
    kind: customIds.has(callId) ? "custom" : "function",
    at,
  };
}

function toResultPart(part: ContentPart): ToolResultPart["content"][number] {
  return part.type === "refusal" ? { type: "text", text: part.text, at: part.at } : part;
}

type ContentPart = TextPart | RefusalPart | ImagePart | DocumentPart | AudioPart;

function readContent(content: unknown, at: string, dropped: Dropped): readonly ContentPart[] {
  if (typeof content === "string") return [{ type: "text", text: content, at }];
  return requireList(content, at).map((item, index) => readHinted(item, `${at}[${index}]`, dropped));
}

function readHinted(item: unknown, at: string, dropped: Dropped): ContentPart {
  const part = requireObject(item, at);
  const cacheControl = readHint(part, at, dropped);
  const read = readPart(part, at);
  return cacheControl === undefined ? read : { ...read, cacheControl };
}

function readPart(part: JsonObject, at: string): ContentPart {
  const { type } = part;
  if (typeof type !== "string") throw new Untranslatable(`${at}.type`, "must be a string");
  requireKnown(part, new Set(["type", type, ...HINTS]), at);
  switch (type) {
    case "text":
    case "refusal":
      return { type, text: requireText(part[type], `${at}.${type}`), at };
    case "image_url":
      return readImage(part[type], at);
    case "file":
      return readFile(requireObject(part[type], `${at}.file`), at);
    case "input_audio":
      return readAudio(part, at);
    default:
      throw new Untranslatable(`${at}.type`, NOT_CARRIED);
  }
}

function readImage(value: unknown, at: string): ImagePart {
  if (typeof value === "string") return { type: "image", source: readMediaUrl(value, `${at}.image_url`), at };
  const image = requireObject(value, `${at}.image_url`);
  requireKnown(image, new Set(["url", "detail"]), `${at}.image_url`);
  const url = requireText(image["url"], `${at}.image_url.url`);
  const detail = textMember(image, "detail", `${at}.image_url`);
  return {
    type: "image",
    source: readMediaUrl(url, `${at}.image_url.url`),
    at,
    ...(detail !== undefined && { detail }),
  };
}

function readFile(file: JsonObject, at: string): DocumentPart {
  requireKnown(file, new Set(["file_data", "file_id", "filename"]), `${at}.file`);
  const filename = textMember(file, "filename", `${at}.file`);
  const id = textMember(file, "file_id", `${at}.file`);
  const source =
    id === undefined
      ? readDataUrl(requireText(file["file_data"], `${at}.file.file_data`), `${at}.file.file_data`)
      : { kind: "file" as const, id };
  return { type: "document", source, at, ...(filename !== undefined && { filename }) };
}

/** Reads the hint to cache the prompt up to a part: OpenAI's, or that of the messages wire, which other chat routers accept too. */
function readHint(part: JsonObject, at: string, dropped: Dropped): JsonObject | undefined {
  return objectMember(part, "cache_control", at) ?? readBreakpoint(part, at, dropped);
}
