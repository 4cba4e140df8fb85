import type { TranslationTarget } from "../codec.ts";
import type { Dropped } from "../dropped.ts";
import type { JsonObject } from "../json.ts";
import type { Located, NeutralRequest, OutputFormat, Reasoning, RequestOptions, Tool, ToolChoice } from "../model.ts";
import { leaveOut } from "../options.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";
import { toMessages } from "./write-messages.ts";

const OPTIONS = {
  temperature: "temperature",
  topP: "top_p",
  seed: "seed",
  frequencyPenalty: "frequency_penalty",
  presencePenalty: "presence_penalty",
  verbosity: "verbosity",
  promptCacheKey: "prompt_cache_key",
} as const satisfies Partial<Record<keyof RequestOptions, string>>;

const TAKEN: ReadonlySet<keyof RequestOptions> = new Set([
  ...(Object.keys(OPTIONS) as (keyof typeof OPTIONS)[]),
  "parallelToolCalls",
  "user",
  "serviceTier",
]);

/** Bounds of OpenAI's API. */
const MAX_USER_CHARS = 64;
const MAX_STOPS = 4;
const MAX_TOOL_NAME_CHARS = 64;

/** Writes a request of the chat wire. @throws Untranslatable */
export function writeChatRequest(request: NeutralRequest, target: TranslationTarget, dropped: Dropped): JsonObject {
  const { options, stream } = request;
  leaveOut(options, TAKEN, dropped);
  return {
    model: target.model,
    messages: toMessages(request.turns, dropped),
    [target.outputField ?? "max_completion_tokens"]: target.outputTokensMax,
    ...toTools(request, dropped),
    ...toFormat(request.format),
    ...toEffort(request.reasoning, target, dropped),
    ...toStop(request.stop),
    ...toOptions(options),
    ...toUser(options.user, dropped),
    ...toTier(options.serviceTier),
    ...(stream && { stream }),
    ...(stream && (target.asksForUsage ?? true) && { stream_options: { include_usage: true } }),
  };
}

function toOptions(options: RequestOptions): JsonObject {
  const members: JsonObject = {};
  for (const [option, name] of Object.entries(OPTIONS) as [keyof typeof OPTIONS, string][]) {
    const located = options[option];
    if (located !== undefined) members[name] = located.value;
  }
  return members;
}

function toTools({ tools, toolChoice, options }: NeutralRequest, dropped: Dropped): JsonObject {
  if (tools.length === 0) return {};
  return {
    tools: tools.map((tool) => toTool(tool, dropped)),
    ...(toolChoice !== undefined && { tool_choice: toToolChoice(toolChoice.value) }),
    ...(options.parallelToolCalls !== undefined && { parallel_tool_calls: options.parallelToolCalls.value }),
  };
}

function toTool(tool: Tool, dropped: Dropped): JsonObject {
  const { kind, name, description, parameters, strict, format, at } = tool;
  if (name.length > MAX_TOOL_NAME_CHARS) {
    throw new Untranslatable(`${at}.name`, `must have at most ${MAX_TOOL_NAME_CHARS} characters for this model`);
  }
  if (tool.cacheControl !== undefined) dropped.add(`${at}.cache_control`);
  const named = { name, ...(description !== undefined && { description }) };
  if (kind === "custom") return { type: "custom", custom: { ...named, ...(format !== undefined && { format }) } };
  const members = {
    ...named,
    ...(parameters !== undefined && { parameters }),
    ...(strict !== undefined && { strict }),
  };
  return { type: "function", function: members };
}

function toToolChoice(choice: ToolChoice): unknown {
  if (choice.mode !== "tool") return choice.mode;
  return { type: choice.kind, [choice.kind]: { name: choice.name } };
}

function toFormat(format: Located<OutputFormat> | undefined): JsonObject {
  if (format === undefined) return {};
  const { value } = format;
  if (value.type !== "json_schema") return { response_format: { type: value.type } };
  const { name = "output", description, schema, strict } = value;
  const members = { name, ...(description !== undefined && { description }), schema, strict: strict ?? false };
  return { response_format: { type: "json_schema", json_schema: members } };
}

function toEffort(reasoning: Located<Reasoning> | undefined, target: TranslationTarget, dropped: Dropped): JsonObject {
  if (reasoning === undefined) return {};
  const { effort, budgetTokens, isEnabled } = reasoning.value;
  if (target.reasons === false) {
    dropped.add(reasoning.at);
    return {};
  }
  if (isEnabled !== false && effort !== undefined) return { reasoning_effort: effort };
  if (isEnabled !== false && budgetTokens !== undefined) return { reasoning_effort: effortOf(budgetTokens) };
  // Models that do not reason refuse the member, so neither "none" nor a default is sent.
  dropped.add(reasoning.at);
  return {};
}

function effortOf(budgetTokens: number): string {
  if (budgetTokens < 4_096) return "low";
  return budgetTokens < 16_384 ? "medium" : "high";
}

function toStop(stop: Located<readonly string[]> | undefined): JsonObject {
  if (stop === undefined || stop.value.length === 0) return {};
  if (stop.value.length > MAX_STOPS) {
    throw new Untranslatable(stop.at, `must have at most ${MAX_STOPS} stop sequences for this model`);
  }
  return { stop: stop.value };
}

function toUser(user: Located<string> | undefined, dropped: Dropped): JsonObject {
  if (user === undefined) return {};
  if (user.value.length <= MAX_USER_CHARS) return { user: user.value };
  dropped.add(user.at);
  return {};
}

/** `auto` is what a request without a tier gets, and servers other than OpenAI's do not know the member. */
function toTier(tier: Located<string> | undefined): JsonObject {
  if (tier === undefined || tier.value === "auto") return {};
  const name = tier.value === "standard_only" ? "default" : tier.value;
  if (!TIERS.has(name)) throw new Untranslatable(tier.at, NOT_CARRIED);
  return { service_tier: name };
}

const TIERS = new Set(["default", "flex", "scale", "priority", "fast"]);
