import { badField } from "../../errors/refusal.ts";
import { hasSeparateTexts } from "../../guardrails/separate-texts.ts";
import { InputCollector } from "../../request/input-collector.ts";
import type { ObjectNames } from "../../request/member-names.ts";
import type { HostedTool, ReadMembers } from "../../request/read-members.ts";
import { isObject, type JsonObject } from "../../wire/json.ts";
import { collectMembers } from "../collect-members.ts";
import { hasItems, optionalBoolean, readModel, readObjects, readOutputBound } from "../read-member.ts";
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
    return {
      model: readModel(body),
      choices: 1,
      output: readOutputBound(body, "max_output_tokens"),
      streamed: optionalBoolean(body, "stream") ?? false,
      // The usage is in an event that has something else too.
      wantsUsageChunk: true,
      streamOptions: undefined,
      hasSeparateTexts: hasSeparateTexts(items, body["instructions"] === undefined ? undefined : "system"),
      hasTools: hasItems(body["tools"]),
      hostedTools: readHostedTools(body["tools"]),
      collected: collectInput(parsed, items),
    } satisfies ReadMembers & { collected: InputCollector };
  },
};

/** Reads the input: items, or a text, which is one message. @throws Refusal 400 */
function readItems(body: JsonObject): readonly JsonObject[] {
  const { input } = body;
  return typeof input === "string" ? [{ role: "user", content: input }] : readObjects(body, "input");
}

function collectInput(parsed: ParsedBody, items: readonly JsonObject[]): InputCollector {
  const input = new InputCollector();
  const { instructions, tools } = parsed.body;
  if (instructions !== undefined && instructions !== null) {
    if (typeof instructions !== "string") throw badField("instructions", "must be a string");
    input.messages++;
    input.addText(instructions);
  }
  collectItems(items, input);
  collectMembers(parsed, MEMBER_KINDS, input);
  if (Array.isArray(tools)) input.otherBytes += tools.filter(isDescribedTool).length * DESCRIBED_TOOL_TOKENS;
  return input;
}

/** Tools that the client runs and the provider describes to the model. */
const DESCRIBED_TOOLS: ReadonlySet<unknown> = new Set(["local_shell", "apply_patch"]);
/** Bound of the tokens of such a description. */
const DESCRIBED_TOOL_TOKENS = 1_500;

function isDescribedTool(tool: unknown): boolean {
  return isObject(tool) && DESCRIBED_TOOLS.has(tool["type"]);
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

/** Finds the tools that the client does not run. @throws Refusal 400 */
function readHostedTools(tools: unknown): readonly HostedTool[] {
  if (tools === undefined || tools === null) return [];
  if (!Array.isArray(tools)) throw badField("tools", "must be an array");
  return tools.flatMap((tool: unknown, index): HostedTool[] => {
    if (!isObject(tool)) throw badField(`tools[${index}]`, "must be an object");
    const { type } = tool;
    if (type !== "function" && type !== "custom" && !isDescribedTool(tool)) {
      return [{ path: `tools[${index}].type`, type: typeof type === "string" ? type : undefined }];
    }
    const hostedMember = Object.keys(tool).find((name) => !CLIENT_TOOL.has(name));
    return hostedMember === undefined ? [] : [{ path: `tools[${index}].${hostedMember}`, type: hostedMember }];
  });
}
