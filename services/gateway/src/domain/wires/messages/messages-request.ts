import { badField } from "../../errors/refusal.ts";
import { hasSeparateTexts } from "../../guardrails/separate-texts.ts";
import { InputCollector } from "../../request/input-collector.ts";
import type { ObjectNames } from "../../request/member-names.ts";
import type { ReadMembers } from "../../request/read-members.ts";
import type { JsonObject } from "../../wire/json.ts";
import { collectMembers } from "../collect-members.ts";
import { DESCRIBED_TOOL_TOKENS, findHostedTools } from "../provider-tools.ts";
import { optionalBoolean, optionalObjects, readModel, readObjects, readOutputBound } from "../read-member.ts";
import type { ParsedBody, RequestFormat } from "../request-format.ts";
import { collectContent, collectMessages } from "./message-blocks.ts";

/** Members of the top level that the gateway reads or sets. */
const READ_MEMBERS = new Set(["model", "messages", "system", "max_tokens", "stream", "tools"]);

/** Members whose JSON models read as text. */
const TEXT_MEMBERS = new Set(["tools", "output_config", "output_format"]);
/** Members that models do not read, but for a word. */
const PARAMETERS = new Set([
  "max_tokens",
  "service_tier",
  "stream",
  "temperature",
  "thinking",
  "tool_choice",
  "top_k",
  "top_p",
]);
const MEMBER_KINDS = {
  collected: new Set(["messages", "system"]),
  texts: TEXT_MEMBERS,
  parameters: PARAMETERS,
  readMembers: READ_MEMBERS,
};

const SOURCE_NAMES = new Set(["type", "media_type", "data", "url", "file_id", "content"]);
const BLOCK_NAMES = new Set([
  "type",
  "text",
  "source",
  "id",
  "name",
  "input",
  "tool_use_id",
  "content",
  "is_error",
  "thinking",
  "signature",
  "data",
  "title",
  "context",
  "citations",
  "cache_control",
]);
/** Blocks within a result of a tool or a document hold no others. */
const INNER_BLOCK: ObjectNames = {
  known: BLOCK_NAMES,
  within: new Map([["source", { known: SOURCE_NAMES }]]),
};
const BLOCK: ObjectNames = {
  known: BLOCK_NAMES,
  within: new Map([
    ["content", INNER_BLOCK],
    ["source", { known: SOURCE_NAMES, within: new Map([["content", INNER_BLOCK]]) }],
  ]),
};
const NAMES_WITHIN: ReadonlyMap<string, ObjectNames> = new Map<string, ObjectNames>([
  ["messages", { known: new Set(["role", "content"]), within: new Map([["content", BLOCK]]) }],
  ["system", BLOCK],
  ["tools", { known: new Set(["type", "name", "description", "input_schema", "cache_control"]) }],
]);

/** Requests of POST /v1/messages. */
export const MESSAGES_REQUEST: RequestFormat = {
  readMembers: READ_MEMBERS,
  namesWithin: NAMES_WITHIN,
  outputFields: ["max_tokens"],
  read(parsed) {
    const { body } = parsed;
    const output = readOutputBound(body, "max_tokens");
    if (output === undefined) throw badField("max_tokens", "must be given");
    return { ...readMessages(parsed), output, streamed: optionalBoolean(body, "stream") ?? false };
  },
};

/** Requests of POST /v1/messages/count_tokens: those of a message without its answer. */
export const COUNT_TOKENS_REQUEST: RequestFormat = {
  ...MESSAGES_REQUEST,
  outputFields: [],
  read(parsed) {
    const answers = ANSWER_MEMBERS.find((name) => Object.hasOwn(parsed.body, name));
    if (answers !== undefined)
      throw badField(answers, "must not be given: tokens are counted, and nothing is answered");
    return readMessages(parsed);
  },
};

/** Members by which an upstream might mistake a request to count tokens for one to be answered. */
const ANSWER_MEMBERS = ["max_tokens", "stream"];

function readMessages(parsed: ParsedBody): ReadMembers & { readonly collected: InputCollector } {
  const { body } = parsed;
  const messages = readObjects(body, "messages");
  const tools = optionalObjects(body, "tools");
  return {
    model: readModel(body),
    choices: 1,
    output: undefined,
    streamed: false,
    // The usage is in events that have something else too.
    wantsUsageChunk: true,
    streamOptions: undefined,
    hasSeparateTexts: isSeparate(body, messages),
    hasTools: tools.length > 0,
    hostedTools: findHostedTools(tools, hostedMemberOf),
    collected: collectInput(parsed, messages, tools),
  };
}

function collectInput(
  parsed: ParsedBody,
  messages: readonly JsonObject[],
  tools: readonly JsonObject[],
): InputCollector {
  const input = new InputCollector();
  const { system } = parsed.body;
  if (system !== undefined && system !== null) collectContent(system, "system", input);
  collectMessages(messages, input);
  collectMembers(parsed, MEMBER_KINDS, input);
  input.otherBytes += tools.filter(isDescribed).length * DESCRIBED_TOOL_TOKENS;
  return input;
}

/** True if no texts of a request are read as one, and none of its places holds media. */
function isSeparate({ system }: JsonObject, messages: readonly JsonObject[]): boolean {
  if (system !== undefined && typeof system !== "string") return false;
  return hasSeparateTexts(messages, system === undefined ? undefined : "system");
}

/** Matches types of tools that Anthropic describes and the client runs. */
const DESCRIBED_TOOL = /^(?:bash|text_editor|computer|memory)_\d{8}$/;

function isDescribed({ type }: JsonObject): boolean {
  return typeof type === "string" && DESCRIBED_TOOL.test(type);
}

function hostedMemberOf(tool: JsonObject): "type" | undefined {
  const type = tool["type"] ?? "custom";
  return type === "custom" || isDescribed(tool) ? undefined : "type";
}
