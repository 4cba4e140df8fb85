import { isObject, type JsonObject } from "../json.ts";
import type { Dropped } from "../dropped.ts";
import { booleanMember, isAbsent, objectMember, requireKnown, requireList, requireObject } from "../fields.ts";
import { memberOf, requireText, textMember } from "../fields.ts";
import type { Located, NeutralRequest, OutputFormat, ReasoningEffort, RequestOptions } from "../model.ts";
import type { Tool, ToolChoice } from "../model.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";
import { readMessages } from "./read-messages.ts";

/** Members that are passed on as they are. */
const OPTIONS: ReadonlyMap<string, keyof RequestOptions> = new Map([
  ["temperature", "temperature"],
  ["top_p", "topP"],
  ["top_k", "topK"],
  ["seed", "seed"],
  ["frequency_penalty", "frequencyPenalty"],
  ["presence_penalty", "presencePenalty"],
  ["logit_bias", "logitBias"],
  ["logprobs", "logprobs"],
  ["top_logprobs", "topLogprobs"],
  ["n", "choices"],
  ["verbosity", "verbosity"],
  ["prediction", "prediction"],
  ["store", "store"],
  ["metadata", "metadata"],
  ["prompt_cache_key", "promptCacheKey"],
  ["prompt_cache_retention", "promptCacheRetention"],
  ["prompt_cache_options", "promptCacheOptions"],
]);

/** Members that are read below, or that the gateway sets. */
const READ = new Set([
  "model",
  "max_tokens",
  "max_completion_tokens",
  "messages",
  "tools",
  "tool_choice",
  "parallel_tool_calls",
  "reasoning_effort",
  "response_format",
  "stop",
  "stream",
  "stream_options",
  "service_tier",
  "user",
  "safety_identifier",
]);

const EFFORTS: ReadonlySet<unknown> = new Set(["none", "minimal", "low", "medium", "high", "xhigh", "max"]);
const TOOL_MEMBERS = new Set(["type", "function", "cache_control"]);
const CUSTOM_TOOL_MEMBERS = new Set(["type", "custom"]);
const FUNCTION_MEMBERS = new Set(["name", "description", "parameters", "strict"]);
const CUSTOM_MEMBERS = new Set(["name", "description", "format"]);
const SCHEMA_MEMBERS = new Set(["name", "description", "schema", "strict"]);

/** Reads a request of the chat wire. @throws Untranslatable */
export function readChatRequest(body: JsonObject, dropped: Dropped): NeutralRequest {
  const toolChoice = readToolChoice(body["tool_choice"]);
  const format = readFormat(body["response_format"]);
  const effort = readEffort(body["reasoning_effort"]);
  const stop = readStop(body["stop"]);
  return {
    turns: readMessages(body["messages"], dropped),
    tools: readTools(body["tools"]),
    ...(toolChoice !== undefined && { toolChoice: { value: toolChoice, at: "tool_choice" } }),
    ...(effort !== undefined && { reasoning: { value: { effort }, at: "reasoning_effort" } }),
    ...(format !== undefined && { format: { value: format, at: "response_format" } }),
    ...(stop !== undefined && { stop: { value: stop, at: "stop" } }),
    stream: body["stream"] === true,
    options: readOptions(body),
  };
}

function readOptions(body: JsonObject): RequestOptions {
  const options: { -readonly [Name in keyof RequestOptions]?: Located<unknown> } = {};
  for (const [name, value] of Object.entries(body)) {
    if (isAbsent(value) || READ.has(name)) continue;
    const option = OPTIONS.get(name);
    if (option !== undefined) options[option] = { value, at: name };
    else if (!isEmptyForm(name, value)) throw new Untranslatable(memberOf("", name), NOT_CARRIED);
  }
  const parallel = booleanMember(body, "parallel_tool_calls", "");
  const user = readUser(body);
  const serviceTier = textMember(body, "service_tier", "");
  const streamOptions = objectMember(body, "stream_options", "") ?? {};
  requireKnown(streamOptions, new Set(["include_usage", "include_obfuscation"]), "stream_options");
  const obfuscation = streamOptions["include_obfuscation"];
  return {
    ...(options as RequestOptions),
    ...(parallel !== undefined && { parallelToolCalls: { value: parallel, at: "parallel_tool_calls" } }),
    ...(user !== undefined && { user }),
    ...(serviceTier !== undefined && { serviceTier: { value: serviceTier, at: "service_tier" } }),
    ...(!isAbsent(obfuscation) && {
      includeObfuscation: { value: obfuscation, at: "stream_options.include_obfuscation" },
    }),
  };
}

/** True for a member of the chat wire alone whose value asks for nothing. */
function isEmptyForm(name: string, value: unknown): boolean {
  if (name === "modalities") return Array.isArray(value) && value.every((modality) => modality === "text");
  return (name === "functions" || name === "audio") && Array.isArray(value) && value.length === 0;
}

function readUser(body: JsonObject): Located<string> | undefined {
  for (const at of ["safety_identifier", "user"]) {
    const value = textMember(body, at, "");
    if (value !== undefined) return { value, at };
  }
  return undefined;
}

function readEffort(value: unknown): ReasoningEffort | undefined {
  if (isAbsent(value)) return undefined;
  if (!EFFORTS.has(value)) throw new Untranslatable("reasoning_effort", "is not a known effort");
  return value as ReasoningEffort;
}

function readStop(value: unknown): readonly string[] | undefined {
  if (isAbsent(value)) return undefined;
  if (typeof value === "string") return [value];
  return requireList(value, "stop").map((text, index) => requireText(text, `stop[${index}]`));
}

function readTools(value: unknown): readonly Tool[] {
  if (isAbsent(value)) return [];
  return requireList(value, "tools").map((item, index) => {
    const at = `tools[${index}]`;
    const tool = requireObject(item, at);
    const { type } = tool;
    if (type === "function") return readFunction(tool, at);
    if (type === "custom") return readCustom(tool, at);
    throw new Untranslatable(`${at}.type`, NOT_CARRIED);
  });
}

function readFunction(tool: JsonObject, at: string): Tool {
  requireKnown(tool, TOOL_MEMBERS, at);
  const holder = requireObject(tool["function"], `${at}.function`);
  requireKnown(holder, FUNCTION_MEMBERS, `${at}.function`);
  const description = textMember(holder, "description", `${at}.function`);
  const parameters = objectMember(holder, "parameters", `${at}.function`);
  const strict = booleanMember(holder, "strict", `${at}.function`);
  const cacheControl = objectMember(tool, "cache_control", at);
  return {
    kind: "function",
    name: requireText(holder["name"], `${at}.function.name`),
    ...(description !== undefined && { description }),
    ...(parameters !== undefined && { parameters }),
    ...(strict !== undefined && { strict }),
    ...(cacheControl !== undefined && { cacheControl }),
    at,
  };
}

function readCustom(tool: JsonObject, at: string): Tool {
  requireKnown(tool, CUSTOM_TOOL_MEMBERS, at);
  const holder = requireObject(tool["custom"], `${at}.custom`);
  requireKnown(holder, CUSTOM_MEMBERS, `${at}.custom`);
  const description = textMember(holder, "description", `${at}.custom`);
  const format = objectMember(holder, "format", `${at}.custom`);
  return {
    kind: "custom",
    name: requireText(holder["name"], `${at}.custom.name`),
    ...(description !== undefined && { description }),
    ...(format !== undefined && { format }),
    at,
  };
}

function readToolChoice(value: unknown): ToolChoice | undefined {
  if (isAbsent(value)) return undefined;
  if (value === "none" || value === "auto" || value === "required") return { mode: value };
  if (!isObject(value)) throw new Untranslatable("tool_choice", "must be a string or an object");
  const kind = value["type"];
  if (kind !== "function" && kind !== "custom") throw new Untranslatable("tool_choice.type", NOT_CARRIED);
  const named = requireObject(value[kind], `tool_choice.${kind}`);
  return { mode: "tool", kind, name: requireText(named["name"], `tool_choice.${kind}.name`) };
}

function readFormat(value: unknown): OutputFormat | undefined {
  if (isAbsent(value)) return undefined;
  const format = requireObject(value, "response_format");
  const { type } = format;
  if (type === "text" || type === "json_object") return { type };
  if (type !== "json_schema") throw new Untranslatable("response_format.type", NOT_CARRIED);
  const at = "response_format.json_schema";
  const holder = requireObject(format["json_schema"], at);
  requireKnown(holder, SCHEMA_MEMBERS, at);
  const name = textMember(holder, "name", at);
  const description = textMember(holder, "description", at);
  const strict = booleanMember(holder, "strict", at);
  return {
    type,
    schema: requireObject(holder["schema"], `${at}.schema`),
    ...(name !== undefined && { name }),
    ...(description !== undefined && { description }),
    ...(strict !== undefined && { strict }),
  };
}
