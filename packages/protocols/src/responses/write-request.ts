import type { TranslationTarget } from "../codec.ts";
import type { Dropped } from "../dropped.ts";
import type { JsonObject } from "../json.ts";
import type { Located, NeutralRequest, OutputFormat, Reasoning, RequestOptions, Tool, ToolChoice } from "../model.ts";
import { leaveOut } from "../options.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";
import { toInput } from "./write-input.ts";

const OPTIONS = {
  temperature: "temperature",
  topP: "top_p",
  metadata: "metadata",
  promptCacheKey: "prompt_cache_key",
  promptCacheRetention: "prompt_cache_retention",
  promptCacheOptions: "prompt_cache_options",
} as const satisfies Partial<Record<keyof RequestOptions, string>>;

const TAKEN: ReadonlySet<keyof RequestOptions> = new Set([
  ...(Object.keys(OPTIONS) as (keyof typeof OPTIONS)[]),
  "parallelToolCalls",
  "user",
  "serviceTier",
  "verbosity",
  "store",
  "includeObfuscation",
]);

/** Bounds of OpenAI's API. */
const MAX_USER_CHARS = 64;
const MAX_TOOL_NAME_CHARS = 64;

/**
 * Writes a request of the responses wire. Unless the client asks for it nothing is stored, as on the other wires; so the upstream
 * is asked for its reasoning in sealed form, which the client sends back.
 *
 * @throws Untranslatable
 */
export function writeResponsesRequest(
  request: NeutralRequest,
  target: TranslationTarget,
  dropped: Dropped,
): JsonObject {
  const { options, stream, stop } = request;
  leaveOut(options, TAKEN, dropped);
  if (stop !== undefined && stop.value.length > 0) throw new Untranslatable(stop.at, NOT_CARRIED);
  return {
    model: target.model,
    input: toInput(request.turns, dropped),
    max_output_tokens: target.outputTokensMax,
    store: options.store?.value === true,
    ...toTools(request, dropped),
    ...toText(request),
    ...toReasoning(request.reasoning, target, dropped),
    ...toOptions(options),
    ...toUser(options.user, dropped),
    ...toTier(options.serviceTier),
    ...(stream && { stream }),
    ...(stream &&
      options.includeObfuscation !== undefined && {
        stream_options: { include_obfuscation: options.includeObfuscation.value },
      }),
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

/** Writes a tool. A function that does not say so is not strict on the other wires, and would be on this one. */
function toTool(tool: Tool, dropped: Dropped): JsonObject {
  const { kind, name, description, parameters, strict, format, at } = tool;
  if (name.length > MAX_TOOL_NAME_CHARS) {
    throw new Untranslatable(`${at}.name`, `must have at most ${MAX_TOOL_NAME_CHARS} characters for this model`);
  }
  if (tool.cacheControl !== undefined) dropped.add(`${at}.cache_control`);
  const named = { type: kind, name, ...(description !== undefined && { description }) };
  if (kind === "custom") return { ...named, ...(format !== undefined && { format: flat(format) }) };
  return { ...named, parameters: parameters ?? { type: "object", properties: {} }, strict: strict ?? false };
}

/** Format of a custom tool without the member in which the chat wire holds a grammar. */
function flat({ type, grammar, ...rest }: JsonObject): JsonObject {
  return { type, ...(typeof grammar === "object" && grammar), ...rest };
}

function toToolChoice(choice: ToolChoice): unknown {
  return choice.mode === "tool" ? { type: choice.kind, name: choice.name } : choice.mode;
}

function toText({ format, options: { verbosity } }: NeutralRequest): JsonObject {
  if (format === undefined && verbosity === undefined) return {};
  return {
    text: {
      ...(format !== undefined && { format: toFormat(format.value) }),
      ...(verbosity !== undefined && { verbosity: verbosity.value }),
    },
  };
}

function toFormat(format: OutputFormat): JsonObject {
  if (format.type !== "json_schema") return { type: format.type };
  const { type, name = "output", description, schema, strict = false } = format;
  return { type, name, ...(description !== undefined && { description }), schema, strict };
}

function toReasoning(
  reasoning: Located<Reasoning> | undefined,
  target: TranslationTarget,
  dropped: Dropped,
): JsonObject {
  const sealed = { include: ["reasoning.encrypted_content"] };
  if (reasoning === undefined) return target.reasons === true ? sealed : {};
  const { budgetTokens, isEnabled, wantsSummary } = reasoning.value;
  const effort = reasoning.value.effort ?? (budgetTokens === undefined ? undefined : effortOf(budgetTokens));
  // Models that do not reason refuse the members, so neither "none" nor a default is sent.
  if (target.reasons === false || isEnabled === false || (effort === undefined && wantsSummary !== true)) {
    if (isEnabled !== true || target.reasons === false) dropped.add(reasoning.at);
    return target.reasons === true ? sealed : {};
  }
  const members = { ...(effort !== undefined && { effort }), ...(wantsSummary === true && { summary: "auto" }) };
  return { reasoning: members, ...sealed };
}

function effortOf(budgetTokens: number): string {
  if (budgetTokens < 4_096) return "low";
  return budgetTokens < 16_384 ? "medium" : "high";
}

function toUser(user: Located<string> | undefined, dropped: Dropped): JsonObject {
  if (user === undefined) return {};
  if (user.value.length <= MAX_USER_CHARS) return { safety_identifier: user.value };
  dropped.add(user.at);
  return {};
}

/** `auto` is what a request without a tier gets. */
function toTier(tier: Located<string> | undefined): JsonObject {
  if (tier === undefined || tier.value === "auto") return {};
  const name = tier.value === "standard_only" ? "default" : tier.value;
  if (!TIERS.has(name)) throw new Untranslatable(tier.at, NOT_CARRIED);
  return { service_tier: name };
}

const TIERS = new Set(["default", "flex", "scale", "priority", "fast"]);
