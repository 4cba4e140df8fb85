import { badField } from "../../errors/refusal.ts";
import { hasSeparateTexts } from "../../guardrails/separate-texts.ts";
import type { HostedTool, ReadMembers } from "../../request/read-members.ts";
import { InputCollector } from "../../request/input-collector.ts";
import type { ObjectNames } from "../../request/member-names.ts";
import { isObject, type JsonObject } from "../../wire/json.ts";
import { collectMembers } from "../collect-members.ts";
import { hasItems, optionalBoolean, optionalInteger, readModel, readObjects, readOutputBound } from "../read-member.ts";
import type { Member } from "../../wire/json-members.ts";
import type { ParsedBody, RequestFormat } from "../request-format.ts";
import { collectMessages } from "./message-media.ts";

/** Bound of `n`, as of the OpenAI API. */
const MAX_CHOICES = 128;

/** Members of the top level that the gateway reads or sets. */
const READ_MEMBERS = new Set([
  "model",
  "messages",
  "n",
  "max_tokens",
  "max_completion_tokens",
  "stream",
  "stream_options",
  "tools",
]);

/** Members whose JSON models read as text. */
const TEXT_MEMBERS = new Set(["tools", "functions", "response_format"]);
/** Members that models do not read, but for a word. */
const PARAMETERS = new Set([
  "frequency_penalty",
  "logprobs",
  "max_completion_tokens",
  "max_tokens",
  "n",
  "parallel_tool_calls",
  "presence_penalty",
  "prompt_cache_key",
  "reasoning_effort",
  "safety_identifier",
  "seed",
  "service_tier",
  "store",
  "stream",
  "stream_options",
  "temperature",
  "top_k",
  "top_logprobs",
  "top_p",
  "user",
  "verbosity",
]);
const MEMBER_KINDS = {
  collected: new Set(["messages"]),
  texts: TEXT_MEMBERS,
  parameters: PARAMETERS,
  readMembers: READ_MEMBERS,
};

const MEDIA: ObjectNames = {
  known: new Set(["url", "detail", "format", "data", "file_id", "file_data", "filename"]),
};
const PART: ObjectNames = {
  known: new Set(["type", "text", "refusal", "image_url", "input_audio", "file"]),
  within: new Map([
    ["image_url", MEDIA],
    ["input_audio", MEDIA],
    ["file", MEDIA],
  ]),
};
const MESSAGE: ObjectNames = {
  known: new Set([
    "role",
    "content",
    "name",
    "refusal",
    "audio",
    "images",
    "annotations",
    "tool_calls",
    "tool_call_id",
    "function_call",
  ]),
  within: new Map([["content", PART]]),
};
const NAMES_WITHIN: ReadonlyMap<string, ObjectNames> = new Map([
  ["messages", MESSAGE],
  ["tools", { known: new Set(["type", "function", "custom"]) }],
  ["stream_options", { known: new Set(["include_usage"]) }],
]);

/** Requests of POST /v1/chat/completions. */
export const CHAT_REQUEST: RequestFormat = {
  readMembers: READ_MEMBERS,
  namesWithin: NAMES_WITHIN,
  outputFields: ["max_tokens", "max_completion_tokens"],
  read(parsed) {
    const { body, members } = parsed;
    const streamed = optionalBoolean(body, "stream") ?? false;
    const streamOptions = readStreamOptions(body, streamed);
    const messages = readObjects(body, "messages");
    return {
      model: readModel(body),
      choices: optionalInteger(body, "n", MAX_CHOICES) ?? 1,
      output: readOutput(body),
      streamed,
      wantsUsageChunk: streamOptions?.["include_usage"] === true,
      streamOptions,
      hasSeparateTexts: !members.some(hasOtherTexts) && hasSeparateTexts(messages),
      hasTools: hasItems(body["tools"]) || hasItems(body["functions"]),
      hostedTools: readHostedTools(body["tools"]),
      collected: collectInput(parsed, messages),
    };
  },
};

/** True for a member other than the messages whose texts are read as one. */
function hasOtherTexts({ key }: Member): boolean {
  return key === "prediction" || key === "choices";
}

function collectInput(parsed: ParsedBody, messages: readonly JsonObject[]): InputCollector {
  const input = new InputCollector();
  collectMessages(messages, input);
  collectMembers(parsed, MEMBER_KINDS, input);
  return input;
}

function readOutput(body: JsonObject): ReadMembers["output"] {
  const newer = readOutputBound(body, "max_completion_tokens");
  const older = readOutputBound(body, "max_tokens");
  if (newer !== undefined && older !== undefined)
    throw badField("max_tokens", "and 'max_completion_tokens' must not both be given");
  return newer ?? older;
}

function readStreamOptions(body: JsonObject, streamed: boolean): JsonObject | undefined {
  const options = body["stream_options"] ?? undefined;
  if (options === undefined) return undefined;
  if (!isObject(options)) throw badField("stream_options", "must be an object");
  if (!streamed) throw badField("stream_options", "is only allowed when 'stream' is true");
  optionalBoolean(options, "include_usage", "stream_options.include_usage");
  return options;
}

/** Members of a tool that the client runs. */
const CLIENT_TOOL = new Set(["type", "function", "custom", "strict", "cache_control"]);

/** Finds the tools that are neither functions nor custom tools, which the client runs. */
function readHostedTools(tools: unknown): readonly HostedTool[] {
  if (tools === undefined || tools === null) return [];
  if (!Array.isArray(tools)) return [{ path: "tools", type: undefined }];
  return tools.flatMap((tool: unknown, index): HostedTool[] => {
    if (!isObject(tool)) return [{ path: `tools[${index}]`, type: undefined }];
    const { type } = tool;
    const hostedMember = Object.keys(tool).find((name) => !CLIENT_TOOL.has(name));
    if (type !== "function" && type !== "custom") {
      return [{ path: `tools[${index}].type`, type: typeof type === "string" ? type : hostedMember }];
    }
    return hostedMember === undefined ? [] : [{ path: `tools[${index}].${hostedMember}`, type: hostedMember }];
  });
}
