import type { TranslationTarget } from "../codec.ts";
import type { Dropped } from "../dropped.ts";
import type { JsonObject } from "../json.ts";
import type { Located, NeutralRequest, OutputFormat, Reasoning, RequestOptions, Tool, ToolChoice } from "../model.ts";
import { leaveOut, writeOptions } from "../options.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";
import { thinkingOf } from "./thinking-budget.ts";
import { toTurns } from "./write-turns.ts";

const OPTIONS = {
  temperature: "temperature",
  topP: "top_p",
  topK: "top_k",
  cacheControl: "cache_control",
} as const satisfies Partial<Record<keyof RequestOptions, string>>;

const TAKEN: ReadonlySet<keyof RequestOptions> = new Set([
  ...(Object.keys(OPTIONS) as (keyof typeof OPTIONS)[]),
  "parallelToolCalls",
  "user",
  "serviceTier",
]);

const TIERS: ReadonlyMap<string, string> = new Map([
  ["auto", "auto"],
  ["default", "standard_only"],
  ["standard_only", "standard_only"],
]);

/** Writes a request of the messages wire. @throws Untranslatable */
export function writeMessagesRequest(request: NeutralRequest, target: TranslationTarget, dropped: Dropped): JsonObject {
  const { options, stop, stream } = request;
  leaveOut(options, TAKEN, dropped);
  requireLowTemperature(options);
  const { thinking, effort } = toThinking(request.reasoning, target, dropped);
  const format = toFormat(request.format);
  const config = { ...(effort !== undefined && { effort }), ...(format !== undefined && { format }) };
  return {
    model: target.model,
    max_tokens: target.outputTokensMax,
    ...toTurns(request.turns, dropped),
    ...toTools(request),
    ...(thinking !== undefined && { thinking }),
    ...(Object.keys(config).length > 0 && { output_config: config }),
    ...(stop !== undefined && stop.value.length > 0 && { stop_sequences: stop.value }),
    ...writeOptions(options, OPTIONS),
    ...(options.user !== undefined && { metadata: { user_id: options.user.value } }),
    ...toTier(options.serviceTier),
    ...(stream && { stream }),
  };
}

function requireLowTemperature({ temperature }: RequestOptions): void {
  if (temperature === undefined || typeof temperature.value !== "number" || temperature.value <= 1) return;
  throw new Untranslatable(temperature.at, "must be at most 1 for this model");
}

function toThinking(reasoning: Located<Reasoning> | undefined, target: TranslationTarget, dropped: Dropped) {
  if (reasoning === undefined) return {};
  const asked = target.reasons === false ? undefined : thinkingOf(reasoning.value, target);
  if (asked === undefined) dropped.add(reasoning.at);
  return asked ?? {};
}

function toFormat(format: Located<OutputFormat> | undefined): JsonObject | undefined {
  if (format === undefined || format.value.type === "text") return undefined;
  if (format.value.type === "json_object") throw new Untranslatable(`${format.at}.type`, NOT_CARRIED);
  return { type: "json_schema", schema: format.value.schema };
}

function toTools({ tools, toolChoice, options }: NeutralRequest): JsonObject {
  if (tools.length === 0) return {};
  const choice = toToolChoice(toolChoice, options.parallelToolCalls?.value === false);
  return { tools: tools.map(toTool), ...(choice !== undefined && { tool_choice: choice }) };
}

function toTool({ kind, name, description, parameters, strict, cacheControl, at }: Tool): JsonObject {
  if (kind === "custom") throw new Untranslatable(at, NOT_CARRIED);
  return {
    name,
    ...(description !== undefined && { description }),
    input_schema: { type: "object", ...(parameters ?? { properties: {} }) },
    ...(strict !== undefined && { strict }),
    ...(cacheControl !== undefined && { cache_control: cacheControl }),
  };
}

function toToolChoice(choice: Located<ToolChoice> | undefined, isSerial: boolean): JsonObject | undefined {
  const serial = isSerial ? { disable_parallel_tool_use: true } : {};
  if (choice === undefined) return isSerial ? { type: "auto", ...serial } : undefined;
  const { value, at } = choice;
  if (value.mode === "none") return { type: "none" };
  if (value.mode !== "tool") return { type: value.mode === "required" ? "any" : "auto", ...serial };
  if (value.kind === "custom") throw new Untranslatable(at, NOT_CARRIED);
  return { type: "tool", name: value.name, ...serial };
}

function toTier(tier: Located<string> | undefined): JsonObject {
  if (tier === undefined) return {};
  const name = TIERS.get(tier.value);
  if (name === undefined) throw new Untranslatable(tier.at, NOT_CARRIED);
  return { service_tier: name };
}
