import type { TranslationTarget } from "../codec.ts";
import type { Dropped } from "../dropped.ts";
import type { JsonObject } from "../json.ts";
import type { Located, NeutralRequest, OutputFormat, Reasoning, RequestOptions, Tool } from "../model.ts";
import { effortOf, type ToolForm, toSchema, toTier, toTools, toUser } from "../openai/write-members.ts";
import { leaveOut, writeOptions } from "../options.ts";
import { Untranslatable } from "../untranslatable.ts";
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

/** Maximum number of stop sequences in OpenAI's API. */
const MAX_STOPS = 4;

const TOOLS: ToolForm = {
  toTool,
  toChoice: ({ kind, name }) => ({ type: kind, [kind]: { name } }),
};

/** Writes a request of the chat wire. @throws Untranslatable */
export function writeChatRequest(request: NeutralRequest, target: TranslationTarget, dropped: Dropped): JsonObject {
  const { options, stream } = request;
  leaveOut(options, TAKEN, dropped);
  return {
    model: target.model,
    messages: toMessages(request.turns, dropped),
    [target.outputField ?? "max_completion_tokens"]: target.outputTokensMax,
    ...toTools(request, TOOLS, dropped),
    ...toFormat(request.format),
    ...toEffort(request.reasoning, target, dropped),
    ...toStop(request.stop),
    ...writeOptions(options, OPTIONS),
    ...toUser("user", options.user, dropped),
    ...toTier(options.serviceTier),
    ...(stream && { stream }),
    ...(stream && (target.asksForUsage ?? true) && { stream_options: { include_usage: true } }),
  };
}

function toTool({ kind, name, description, parameters, strict, format }: Tool): JsonObject {
  const named = { name, ...(description !== undefined && { description }) };
  if (kind === "custom") return { type: "custom", custom: { ...named, ...(format !== undefined && { format }) } };
  const members = {
    ...named,
    ...(parameters !== undefined && { parameters }),
    ...(strict !== undefined && { strict }),
  };
  return { type: "function", function: members };
}

function toFormat(format: Located<OutputFormat> | undefined): JsonObject {
  if (format === undefined) return {};
  const { value } = format;
  if (value.type !== "json_schema") return { response_format: { type: value.type } };
  return { response_format: { type: "json_schema", json_schema: toSchema(value) } };
}

function toEffort(reasoning: Located<Reasoning> | undefined, target: TranslationTarget, dropped: Dropped): JsonObject {
  if (reasoning === undefined) return {};
  const effort = effortOf(reasoning.value);
  const isAsked = target.reasons !== false && reasoning.value.isEnabled !== false;
  if (isAsked && effort !== undefined) return { reasoning_effort: effort };
  // Models that do not reason refuse the member, so neither "none" nor a default is sent.
  dropped.add(reasoning.at);
  return {};
}

function toStop(stop: Located<readonly string[]> | undefined): JsonObject {
  if (stop === undefined || stop.value.length === 0) return {};
  if (stop.value.length > MAX_STOPS) {
    throw new Untranslatable(stop.at, `must have at most ${MAX_STOPS} stop sequences for this model`);
  }
  return { stop: stop.value };
}
