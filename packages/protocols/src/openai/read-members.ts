/** Readers of the members that requests of OpenAI's two wires, chat and responses, share. All of them throw `Untranslatable`. */
import type { Dropped } from "../dropped.ts";
import { booleanMember, isAbsent, objectMember, requireKnown, requireObject, requireText } from "../fields.ts";
import { textMember } from "../fields.ts";
import { isObject, type JsonObject } from "../json.ts";
import type {
  AudioPart,
  Located,
  OutputFormat,
  ReasoningEffort,
  RequestOptions,
  ToolChoice,
  ToolKind,
} from "../model.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";

/** Reads the options that are checked. @param streamMembers members that `stream_options` may have */
export function readCheckedOptions(
  body: JsonObject,
  streamMembers: ReadonlySet<string>,
  dropped: Dropped,
): RequestOptions {
  const parallel = booleanMember(body, "parallel_tool_calls", "");
  const user = readUser(body, dropped);
  const serviceTier = textMember(body, "service_tier", "");
  const streamOptions = objectMember(body, "stream_options", "") ?? {};
  requireKnown(streamOptions, streamMembers, "stream_options");
  const obfuscation = streamOptions["include_obfuscation"];
  return {
    ...(parallel !== undefined && { parallelToolCalls: { value: parallel, at: "parallel_tool_calls" } }),
    ...(user !== undefined && { user }),
    ...(serviceTier !== undefined && { serviceTier: { value: serviceTier, at: "service_tier" } }),
    ...(!isAbsent(obfuscation) && {
      includeObfuscation: { value: obfuscation, at: "stream_options.include_obfuscation" },
    }),
  };
}

/** Reads the person for whom the client asks, by the newer of two names. */
function readUser(body: JsonObject, dropped: Dropped): Located<string> | undefined {
  const [newer, older] = ["safety_identifier", "user"];
  const value = textMember(body, newer, "");
  const olderValue = textMember(body, older, "");
  if (value === undefined) return olderValue === undefined ? undefined : { value: olderValue, at: older };
  if (olderValue !== undefined && olderValue !== value) dropped.add(older);
  return { value, at: newer };
}

const EFFORTS: ReadonlySet<unknown> = new Set(["none", "minimal", "low", "medium", "high", "xhigh", "max"]);

/** Reads a reasoning effort. @returns undefined if it is absent */
export function readEffort(value: unknown, at: string): ReasoningEffort | undefined {
  if (isAbsent(value)) return undefined;
  if (!EFFORTS.has(value)) throw new Untranslatable(at, "is not a known effort");
  return value as ReasoningEffort;
}

/** Reads the members of a JSON schema that the output is to follow. */
export function readSchema(holder: JsonObject, at: string): OutputFormat {
  const name = textMember(holder, "name", at);
  const description = textMember(holder, "description", at);
  const strict = booleanMember(holder, "strict", at);
  return {
    type: "json_schema",
    schema: requireObject(holder["schema"], `${at}.schema`),
    ...(name !== undefined && { name }),
    ...(description !== undefined && { description }),
    ...(strict !== undefined && { strict }),
  };
}

/** Reads `tool_choice`. @param readName reads the name of the tool that is to be called */
export function readToolChoice(
  value: unknown,
  readName: (choice: JsonObject, kind: ToolKind) => string,
): ToolChoice | undefined {
  if (isAbsent(value)) return undefined;
  if (value === "none" || value === "auto" || value === "required") return { mode: value };
  if (!isObject(value)) throw new Untranslatable("tool_choice", "must be a string or an object");
  const { type: kind } = value;
  if (kind !== "function" && kind !== "custom") throw new Untranslatable("tool_choice.type", NOT_CARRIED);
  return { mode: "tool", kind, name: readName(value, kind) };
}

/** Reads a part of the type `input_audio`. */
export function readAudio(part: JsonObject, at: string): AudioPart {
  const audio = requireObject(part["input_audio"], `${at}.input_audio`);
  const data = requireText(audio["data"], `${at}.input_audio.data`);
  return { type: "audio", data, format: requireText(audio["format"], `${at}.input_audio.format`), at };
}

/**
 * Reads the hint to cache the prompt up to a part, and converts it to the format of the messages wire. No other wire has OpenAI's times to
 * live.
 *
 * @returns undefined if it is absent
 */
export function readBreakpoint(part: JsonObject, at: string, dropped: Dropped): JsonObject | undefined {
  const breakpoint = objectMember(part, "prompt_cache_breakpoint", at);
  if (breakpoint === undefined) return undefined;
  if (!isAbsent(breakpoint["ttl"])) dropped.add(`${at}.prompt_cache_breakpoint.ttl`);
  return { type: "ephemeral" };
}
