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
import { collectItems } from "./input-items.ts";

/** Members of the top level that the gateway reads or sets. */
const READ_MEMBERS = new Set(["model", "input", "instructions", "max_output_tokens", "stream", "background", "tools"]);

/** Members whose JSON models read as text. */
const TEXT_MEMBERS = new Set(["tools", "text"]);
/** Members that models do not read, but for a word. */
const PARAMETERS = new Set([
  "background",
  "include",
  "max_output_tokens",
  "max_tool_calls",
  "parallel_tool_calls",
  "prompt_cache_key",
  "prompt_cache_retention",
  "reasoning",
  "safety_identifier",
  "service_tier",
  "store",
  "stream",
  "stream_options",
  "temperature",
  "tool_choice",
  "top_logprobs",
  "top_p",
  "truncation",
  "user",
]);
const MEMBER_KINDS = {
  collected: new Set(["input", "instructions"]),
  texts: TEXT_MEMBERS,
  parameters: PARAMETERS,
  readMembers: READ_MEMBERS,
};

const PART: ObjectNames = {
  known: new Set([
    "type",
    "text",
    "refusal",
    "image_url",
    "detail",
    "file_id",
    "file_data",
    "file_url",
    "filename",
    "input_audio",
  ]),
};
const ITEM: ObjectNames = {
  known: new Set([
    "type",
    "role",
    "content",
    "id",
    "call_id",
    "name",
    "arguments",
    "input",
    "output",
    "summary",
    "encrypted_content",
  ]),
  within: new Map([
    ["content", PART],
    ["output", PART],
    ["summary", PART],
  ]),
};
const NAMES_WITHIN: ReadonlyMap<string, ObjectNames> = new Map([
  ["input", ITEM],
  ["tools", { known: new Set(["type", "name", "description", "parameters", "strict", "format"]) }],
  ["text", { known: new Set(["format", "verbosity"]) }],
  ["reasoning", { known: new Set(["effort", "summary"]) }],
]);

/** Requests of POST /v1/responses. */
export const RESPONSES_REQUEST: RequestFormat = {
  readMembers: READ_MEMBERS,
  namesWithin: NAMES_WITHIN,
  outputFields: ["max_output_tokens"],
  read(parsed) {
    const { body } = parsed;
    if (optionalBoolean(body, "background") === true) {
      throw badField("background", "must not be true: the answer, and what it costs, would come after the request");
    }
    const items = readItems(body);
    const tools = optionalObjects(body, "tools");
    return {
      model: readModel(body),
      choices: 1,
      output: readOutputBound(body, "max_output_tokens"),
      streamed: optionalBoolean(body, "stream") ?? false,
      // The usage is in an event that has something else too.
      wantsUsageChunk: true,
      streamOptions: undefined,
      hasSeparateTexts: hasSeparateTexts(items, body["instructions"] === undefined ? undefined : "system"),
      hasTools: tools.length > 0,
      hostedTools: findHostedTools(tools, hostedMemberOf),
      collected: collectInput(parsed, items, tools),
    } satisfies ReadMembers & { collected: InputCollector };
  },
};

/** Reads the input: items, or a text, which is one message. @throws Refusal 400 */
function readItems(body: JsonObject): readonly JsonObject[] {
  const { input } = body;
  return typeof input === "string" ? [{ role: "user", content: input }] : readObjects(body, "input");
}

function collectInput(parsed: ParsedBody, items: readonly JsonObject[], tools: readonly JsonObject[]): InputCollector {
  const input = new InputCollector();
  const { instructions } = parsed.body;
  if (instructions !== undefined && instructions !== null) {
    if (typeof instructions !== "string") throw badField("instructions", "must be a string");
    input.messages++;
    input.addText(instructions);
  }
  collectItems(items, input);
  collectMembers(parsed, MEMBER_KINDS, input);
  input.otherBytes += tools.filter(isDescribed).length * DESCRIBED_TOOL_TOKENS;
  return input;
}

/** Types of tools that OpenAI describes and the client runs. */
const DESCRIBED_TOOLS: ReadonlySet<unknown> = new Set(["local_shell", "apply_patch"]);

function isDescribed({ type }: JsonObject): boolean {
  return DESCRIBED_TOOLS.has(type);
}

/** Members of a tool that the client runs. */
const CLIENT_TOOL = new Set([
  "type",
  "name",
  "description",
  "parameters",
  "strict",
  "format",
  "allowed_callers",
  "async",
  "defer_loading",
  "output_schema",
]);

function hostedMemberOf(tool: JsonObject): string | undefined {
  const { type } = tool;
  if (type !== "function" && type !== "custom" && !isDescribed(tool)) return "type";
  return Object.keys(tool).find((name) => !CLIENT_TOOL.has(name));
}
