import type { Dropped } from "../dropped.ts";
import { booleanMember, isAbsent, objectMember, requireKnown, requireList, requireObject } from "../fields.ts";
import { requireText, textMember } from "../fields.ts";
import { isObject, type JsonObject } from "../json.ts";
import type { Located, NeutralRequest, OutputFormat, Reasoning, ReasoningEffort, RequestOptions } from "../model.ts";
import type { Tool, ToolChoice } from "../model.ts";
import { readOptions } from "../options.ts";
import { readFunctionMembers } from "../tool-definition.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";
import { readTurns } from "./read-turns.ts";

/** Members that are passed on unchanged. */
const OPTIONS = {
  temperature: "temperature",
  top_p: "topP",
  top_k: "topK",
  cache_control: "cacheControl",
} as const satisfies Readonly<Record<string, keyof RequestOptions>>;

/** Members that only the messages wire has, and that do not change the content of the answer, only its length or price. */
const WITHOUT_EFFECT = ["context_management", "diagnostics"];

const MEMBERS: ReadonlySet<string> = new Set([
  ...Object.keys(OPTIONS),
  ...WITHOUT_EFFECT,
  ..."model max_tokens messages system tools tool_choice thinking output_config".split(" "),
  ..."stop_sequences stream service_tier metadata".split(" "),
]);

const EFFORTS: ReadonlySet<unknown> = new Set(["low", "medium", "high", "xhigh", "max"]);
const TOOL_MEMBERS = new Set(["type", "name", "description", "input_schema", "strict", "cache_control"]);
/** Members of a tool that say how the upstream handles its definition. */
const TOOL_HINTS = ["input_examples", "eager_input_streaming", "defer_loading"];
const CHOICES: ReadonlyMap<unknown, "none" | "auto" | "required"> = new Map([
  ["none", "none"],
  ["auto", "auto"],
  ["any", "required"],
]);

/** Reads a request of the messages wire. @throws Untranslatable */
export function readMessagesRequest(body: JsonObject, dropped: Dropped): NeutralRequest {
  requireKnown(body, MEMBERS, "", isEmptyForm);
  for (const name of WITHOUT_EFFECT) if (!isAbsent(body[name])) dropped.add(name);
  const choice = objectMember(body, "tool_choice", "");
  const reasoning = readReasoning(body, dropped);
  const format = readFormat(body);
  const stop = readStop(body["stop_sequences"]);
  return {
    turns: readTurns(body, dropped),
    tools: readTools(body["tools"], dropped),
    ...(choice !== undefined && { toolChoice: { value: readToolChoice(choice), at: "tool_choice" } }),
    ...(reasoning !== undefined && { reasoning }),
    ...(format !== undefined && { format }),
    ...(stop !== undefined && { stop }),
    stream: body["stream"] === true,
    options: { ...readOptions(body, OPTIONS), ...readCheckedOptions(body, choice) },
  };
}

/** Reads the options that are checked. */
function readCheckedOptions(body: JsonObject, choice: JsonObject | undefined): RequestOptions {
  const isSerial = choice === undefined ? undefined : booleanMember(choice, "disable_parallel_tool_use", "tool_choice");
  const serviceTier = textMember(body, "service_tier", "");
  const metadata = objectMember(body, "metadata", "") ?? {};
  requireKnown(metadata, new Set(["user_id"]), "metadata");
  const user = textMember(metadata, "user_id", "metadata");
  return {
    ...(isSerial !== undefined && {
      parallelToolCalls: { value: !isSerial, at: "tool_choice.disable_parallel_tool_use" },
    }),
    ...(user !== undefined && { user: { value: user, at: "metadata.user_id" } }),
    ...(serviceTier !== undefined && { serviceTier: { value: serviceTier, at: "service_tier" } }),
  };
}

/** True for a member that only the messages wire has, with a value that has no effect. */
function isEmptyForm(name: string, value: unknown): boolean {
  return (
    (name === "mcp_servers" && Array.isArray(value) && value.length === 0) || (name === "speed" && value === "standard")
  );
}

function readStop(value: unknown): Located<readonly string[]> | undefined {
  if (isAbsent(value)) return undefined;
  const at = "stop_sequences";
  return { value: requireList(value, at).map((text, index) => requireText(text, `${at}[${index}]`)), at };
}

/** Reads `thinking` and the effort, which together determine how much the model reasons. */
function readReasoning(body: JsonObject, dropped: Dropped): Located<Reasoning> | undefined {
  const config = objectMember(body, "output_config", "") ?? {};
  requireKnown(config, new Set(["effort", "format"]), "output_config");
  const effort = config["effort"];
  if (!isAbsent(effort) && !EFFORTS.has(effort))
    throw new Untranslatable("output_config.effort", "is not a known effort");
  const known = isAbsent(effort) ? {} : { effort: effort as ReasoningEffort };
  const thinking = objectMember(body, "thinking", "");
  if (thinking === undefined) return isAbsent(effort) ? undefined : { value: known, at: "output_config.effort" };
  requireKnown(thinking, new Set(["type", "budget_tokens", "display"]), "thinking");
  if (!isAbsent(thinking["display"])) dropped.add("thinking.display");
  const { type, budget_tokens: budget } = thinking;
  switch (type) {
    case "disabled":
      return { value: { ...known, isEnabled: false }, at: "thinking" };
    case "adaptive":
    case "between_tools":
      return { value: { ...known, isEnabled: true }, at: "thinking" };
    case "enabled":
      if (typeof budget !== "number") throw new Untranslatable("thinking.budget_tokens", "must be a number");
      return { value: { ...known, isEnabled: true, budgetTokens: budget }, at: "thinking" };
    default:
      throw new Untranslatable("thinking.type", NOT_CARRIED);
  }
}

function readFormat(body: JsonObject): Located<OutputFormat> | undefined {
  const config = body["output_config"];
  const format = isObject(config) ? config["format"] : undefined;
  if (isAbsent(format)) return undefined;
  const at = "output_config.format";
  const { type, schema } = requireObject(format, at);
  if (type !== "json_schema") throw new Untranslatable(`${at}.type`, NOT_CARRIED);
  // Structured output of the messages wire is always strict.
  return { value: { type, schema: requireObject(schema, `${at}.schema`), strict: true }, at };
}

function readTools(value: unknown, dropped: Dropped): readonly Tool[] {
  if (isAbsent(value)) return [];
  return requireList(value, "tools").map((item, index) =>
    readTool(requireObject(item, `tools[${index}]`), index, dropped),
  );
}

function readTool(tool: JsonObject, index: number, dropped: Dropped): Tool {
  const at = `tools[${index}]`;
  // Any other type is a tool that the provider runs, or whose schema only its models know.
  if (!isAbsent(tool["type"]) && tool["type"] !== "custom") throw new Untranslatable(`${at}.type`, NOT_CARRIED);
  for (const name of TOOL_HINTS) if (!isAbsent(tool[name]) && tool[name] !== false) dropped.add(`${at}.${name}`);
  requireDirectCallers(tool["allowed_callers"], at);
  requireKnown(tool, new Set([...TOOL_MEMBERS, ...TOOL_HINTS, "allowed_callers"]), at);
  const cacheControl = objectMember(tool, "cache_control", at);
  requireObject(tool["input_schema"], `${at}.input_schema`);
  const members = readFunctionMembers(tool, "input_schema", at);
  return { kind: "function", ...members, ...(cacheControl !== undefined && { cacheControl }), at };
}

/** Only the model itself calls tools on other wires, not code that the provider runs. */
function requireDirectCallers(value: unknown, at: string): void {
  if (isAbsent(value) || (Array.isArray(value) && value.every((caller) => caller === "direct"))) return;
  throw new Untranslatable(`${at}.allowed_callers`, NOT_CARRIED);
}

function readToolChoice(choice: JsonObject): ToolChoice {
  requireKnown(choice, new Set(["type", "name", "disable_parallel_tool_use"]), "tool_choice");
  const mode = CHOICES.get(choice["type"]);
  if (mode !== undefined) return { mode };
  if (choice["type"] !== "tool") throw new Untranslatable("tool_choice.type", NOT_CARRIED);
  return { mode: "tool", kind: "function", name: requireText(choice["name"], "tool_choice.name") };
}
