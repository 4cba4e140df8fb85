import type { TranslationTarget } from "../codec.ts";
import type { Dropped } from "../dropped.ts";
import type { JsonObject } from "../json.ts";
import type { Located, NeutralRequest, OutputFormat, Reasoning, RequestOptions, Tool } from "../model.ts";
import { effortOf, type ToolForm, toSchema, toTier, toTools, toUser } from "../openai/write-members.ts";
import { leaveOut, writeOptions } from "../options.ts";
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

const TOOLS: ToolForm = {
  toTool,
  toChoice: ({ kind, name }) => ({ type: kind, name }),
};

/**
 * Writes a request of the responses wire. Nothing is stored unless the client asks for it, as on the other wires. So the upstream is asked
 * for sealed reasoning, which the client sends back.
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
    ...toTools(request, TOOLS, dropped),
    ...toText(request),
    ...toReasoning(request.reasoning, target, dropped),
    ...writeOptions(options, OPTIONS),
    ...toUser("safety_identifier", options.user, dropped),
    ...toTier(options.serviceTier),
    ...(stream && { stream }),
    ...(stream &&
      options.includeObfuscation !== undefined && {
        stream_options: { include_obfuscation: options.includeObfuscation.value },
      }),
  };
}

/** Writes a tool. `strict` of a function is always written, because its default is false on the other wires and true on this one. */
function toTool({ kind, name, description, parameters, strict, format }: Tool): JsonObject {
  const named = { type: kind, name, ...(description !== undefined && { description }) };
  if (kind === "custom") return { ...named, ...(format !== undefined && { format: flat(format) }) };
  return { ...named, parameters: parameters ?? { type: "object", properties: {} }, strict: strict ?? false };
}

/** Format of a custom tool without the member in which the chat wire holds a grammar. */
function flat({ type, grammar, ...rest }: JsonObject): JsonObject {
  return { type, ...(typeof grammar === "object" && grammar), ...rest };
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
  const { type } = format;
  return format.type === "json_schema" ? { type, ...toSchema(format) } : { type };
}

function toReasoning(
  reasoning: Located<Reasoning> | undefined,
  target: TranslationTarget,
  dropped: Dropped,
): JsonObject {
  const sealed = { include: ["reasoning.encrypted_content"] };
  if (reasoning === undefined) return target.reasons === true ? sealed : {};
  const { isEnabled, wantsSummary } = reasoning.value;
  const effort = effortOf(reasoning.value);
  // Models that do not reason refuse the members, so neither "none" nor a default is sent.
  if (target.reasons === false || isEnabled === false || (effort === undefined && wantsSummary !== true)) {
    if (isEnabled !== true || target.reasons === false) dropped.add(reasoning.at);
    return target.reasons === true ? sealed : {};
  }
  const members = { ...(effort !== undefined && { effort }), ...(wantsSummary === true && { summary: "auto" }) };
  return { reasoning: members, ...sealed };
}
