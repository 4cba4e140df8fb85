import type { Dropped } from "../dropped.ts";
import { isAbsent, objectMember, requireKnown, requireList, requireObject, requireText } from "../fields.ts";
import type { JsonObject } from "../json.ts";
import type { NeutralRequest, OutputFormat, RequestOptions, Tool } from "../model.ts";
import { readCheckedOptions, readEffort, readSchema, readToolChoice } from "../openai/read-members.ts";
import { readOptions } from "../options.ts";
import { readFunctionMembers, readNames } from "../tool-definition.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";
import { readMessages } from "./read-messages.ts";

/** Members that are passed on unchanged. */
const OPTIONS = {
  temperature: "temperature",
  top_p: "topP",
  top_k: "topK",
  seed: "seed",
  frequency_penalty: "frequencyPenalty",
  presence_penalty: "presencePenalty",
  logit_bias: "logitBias",
  logprobs: "logprobs",
  top_logprobs: "topLogprobs",
  n: "choices",
  verbosity: "verbosity",
  prediction: "prediction",
  store: "store",
  metadata: "metadata",
  prompt_cache_key: "promptCacheKey",
  prompt_cache_retention: "promptCacheRetention",
  prompt_cache_options: "promptCacheOptions",
} as const satisfies Readonly<Record<string, keyof RequestOptions>>;

const MEMBERS: ReadonlySet<string> = new Set([
  ...Object.keys(OPTIONS),
  ..."model max_tokens max_completion_tokens messages tools tool_choice parallel_tool_calls reasoning_effort".split(
    " ",
  ),
  ..."response_format stop stream stream_options service_tier user safety_identifier".split(" "),
]);
const STREAM_MEMBERS = new Set(["include_usage", "include_obfuscation"]);

const TOOL_MEMBERS = new Set(["type", "function", "cache_control"]);
const CUSTOM_TOOL_MEMBERS = new Set(["type", "custom"]);
const FUNCTION_MEMBERS = new Set(["name", "description", "parameters", "strict"]);
const CUSTOM_MEMBERS = new Set(["name", "description", "format"]);
const SCHEMA_MEMBERS = new Set(["name", "description", "schema", "strict"]);

/** Reads a request of the chat wire. @throws Untranslatable */
export function readChatRequest(body: JsonObject, dropped: Dropped): NeutralRequest {
  requireKnown(body, MEMBERS, "", isEmptyForm);
  const toolChoice = readToolChoice(body["tool_choice"], readChosenName);
  const format = readFormat(body["response_format"]);
  const effort = readEffort(body["reasoning_effort"], "reasoning_effort");
  const stop = readStop(body["stop"]);
  return {
    turns: readMessages(body["messages"], dropped),
    tools: readTools(body["tools"]),
    ...(toolChoice !== undefined && { toolChoice: { value: toolChoice, at: "tool_choice" } }),
    ...(effort !== undefined && { reasoning: { value: { effort }, at: "reasoning_effort" } }),
    ...(format !== undefined && { format: { value: format, at: "response_format" } }),
    ...(stop !== undefined && { stop: { value: stop, at: "stop" } }),
    stream: body["stream"] === true,
    options: { ...readOptions(body, OPTIONS), ...readCheckedOptions(body, STREAM_MEMBERS, dropped) },
  };
}

/** True for a member that only the chat wire has, with a value that has no effect. */
function isEmptyForm(name: string, value: unknown): boolean {
  if (name === "modalities") return Array.isArray(value) && value.every((modality) => modality === "text");
  return (name === "functions" || name === "audio") && Array.isArray(value) && value.length === 0;
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
  const cacheControl = objectMember(tool, "cache_control", at);
  const members = readFunctionMembers(holder, "parameters", `${at}.function`);
  return { kind: "function", ...members, ...(cacheControl !== undefined && { cacheControl }), at };
}

function readCustom(tool: JsonObject, at: string): Tool {
  requireKnown(tool, CUSTOM_TOOL_MEMBERS, at);
  const holder = requireObject(tool["custom"], `${at}.custom`);
  requireKnown(holder, CUSTOM_MEMBERS, `${at}.custom`);
  const format = objectMember(holder, "format", `${at}.custom`);
  return { kind: "custom", ...readNames(holder, `${at}.custom`), ...(format !== undefined && { format }), at };
}

function readChosenName(choice: JsonObject, kind: "function" | "custom"): string {
  return requireText(requireObject(choice[kind], `tool_choice.${kind}`)["name"], `tool_choice.${kind}.name`);
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
  return readSchema(holder, at);
}
