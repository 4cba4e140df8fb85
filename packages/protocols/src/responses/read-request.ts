import type { Dropped } from "../dropped.ts";
import {
  booleanMember,
  isAbsent,
  objectMember,
  requireKnown,
  requireList,
  requireText,
  textMember,
} from "../fields.ts";
import type { JsonObject } from "../json.ts";
import type { NeutralRequest, OutputFormat, Reasoning, RequestOptions, Turn } from "../model.ts";
import { readCheckedOptions, readEffort, readSchema, readToolChoice } from "../openai/read-members.ts";
import { readOptions } from "../options.ts";
import { NOT_CARRIED, Untranslatable } from "../untranslatable.ts";
import { readInput } from "./read-input.ts";
import { readTools } from "./read-tools.ts";

/** Members that refer to data stored by a responses server, with the name of that data. */
const STORED: ReadonlyMap<string, string> = new Map([
  ["previous_response_id", "response"],
  ["conversation", "conversation"],
  ["prompt", "prompt"],
]);

/** Members without an effect on other wires: the bound on calls of hosted tools, which are refused, and what Codex sends about itself. */
const WITHOUT_EFFECT = ["max_tool_calls", "client_metadata"];

/** Members that are passed on unchanged. */
const OPTIONS = {
  temperature: "temperature",
  top_p: "topP",
  top_logprobs: "topLogprobs",
  metadata: "metadata",
  prompt_cache_key: "promptCacheKey",
  prompt_cache_retention: "promptCacheRetention",
  prompt_cache_options: "promptCacheOptions",
} as const satisfies Readonly<Record<string, keyof RequestOptions>>;

const MEMBERS: ReadonlySet<string> = new Set([
  ...STORED.keys(),
  ...WITHOUT_EFFECT,
  ...Object.keys(OPTIONS),
  ..."model input instructions tools tool_choice parallel_tool_calls text reasoning".split(" "),
  ..."max_output_tokens user safety_identifier service_tier store background stream stream_options".split(" "),
  ..."truncation include".split(" "),
]);

const STREAM_MEMBERS = new Set(["include_obfuscation"]);

/** Reads a request of the responses wire for an upstream of another one. @throws Untranslatable */
export function readResponsesRequest(body: JsonObject, dropped: Dropped): NeutralRequest {
  requireKnown(body, MEMBERS, "");
  requireNoState(body, dropped);
  checkIncludes(body["include"], dropped);
  for (const name of WITHOUT_EFFECT) if (!isAbsent(body[name])) dropped.add(name);
  if ((textMember(body, "truncation", "") ?? "disabled") !== "disabled")
    throw new Untranslatable("truncation", NOT_CARRIED);
  const text = objectMember(body, "text", "") ?? {};
  requireKnown(text, new Set(["format", "verbosity"]), "text");
  const { verbosity } = text;
  const toolChoice = readToolChoice(body["tool_choice"], ({ name }) => requireText(name, "tool_choice.name"));
  const reasoning = readReasoning(objectMember(body, "reasoning", ""), dropped);
  const format = readFormat(objectMember(text, "format", "text"));
  return {
    turns: [...readInstructions(body), ...readInput(body["input"], dropped)],
    tools: readTools(body["tools"], dropped),
    ...(toolChoice !== undefined && { toolChoice: { value: toolChoice, at: "tool_choice" } }),
    ...(reasoning !== undefined && { reasoning: { value: reasoning, at: "reasoning" } }),
    ...(format !== undefined && { format: { value: format, at: "text.format" } }),
    stream: body["stream"] === true,
    options: {
      ...readOptions(body, OPTIONS),
      ...readCheckedOptions(body, STREAM_MEMBERS, dropped),
      ...(!isAbsent(verbosity) && { verbosity: { value: verbosity, at: "text.verbosity" } }),
    },
  };
}

/**
 * Refuses members that need a server which stores responses. OpenAI stores a response unless the client opts out: without the member,
 * `store` is reported as dropped; an explicit request to store is refused.
 */
function requireNoState(body: JsonObject, dropped: Dropped): void {
  for (const [name, stored] of STORED) {
    if (isAbsent(body[name])) continue;
    throw new Untranslatable(name, `refers to a stored ${stored}, which the upstream of this model does not have`);
  }
  if (booleanMember(body, "background", "") === true) throw new Untranslatable("background", NOT_CARRIED);
  const store = booleanMember(body, "store", "");
  if (store === true)
    throw new Untranslatable("store", "must be false: the upstream of this model stores no responses");
  if (store === undefined) dropped.add("store");
}

/** Parts of an answer that only hosted tools and stored input have. */
const NEVER_INCLUDED: ReadonlySet<unknown> = new Set([
  "file_search_call.results",
  "web_search_call.results",
  "web_search_call.action.sources",
  "message.input_image.image_url",
  "computer_call_output.output.image_url",
  "code_interpreter_call.outputs",
]);

function checkIncludes(include: unknown, dropped: Dropped): void {
  if (isAbsent(include)) return;
  requireList(include, "include").forEach((name, index) => {
    // Reasoning is always returned with the seal that its upstream needs.
    if (name === "reasoning.encrypted_content") return;
    if (!NEVER_INCLUDED.has(name)) throw new Untranslatable(`include[${index}]`, NOT_CARRIED);
    dropped.add(`include[${index}]`);
  });
}

function readInstructions(body: JsonObject): readonly Turn[] {
  const at = "instructions";
  const text = textMember(body, at, "") ?? "";
  return text === "" ? [] : [{ role: "system", parts: [{ type: "text", text, at }], at }];
}

function readReasoning(reasoning: JsonObject | undefined, dropped: Dropped): Reasoning | undefined {
  if (reasoning === undefined) return undefined;
  const at = "reasoning";
  requireKnown(reasoning, new Set(["effort", "summary", "generate_summary", "context", "mode"]), at);
  const effort = readEffort(reasoning["effort"], `${at}.effort`);
  if ((textMember(reasoning, "mode", at) ?? "standard") !== "standard")
    throw new Untranslatable(`${at}.mode`, NOT_CARRIED);
  if ((textMember(reasoning, "context", at) ?? "auto") !== "auto") dropped.add(`${at}.context`);
  const wantsSummary = !isAbsent(reasoning["summary"]) || !isAbsent(reasoning["generate_summary"]);
  if (effort === undefined && !wantsSummary) return undefined;
  return { ...(effort !== undefined && { effort }), ...(wantsSummary && { wantsSummary }) };
}

function readFormat(format: JsonObject | undefined): OutputFormat | undefined {
  if (format === undefined) return undefined;
  const at = "text.format";
  const { type } = format;
  requireKnown(format, new Set(["type", "name", "description", "schema", "strict"]), at);
  if (type === "text" || type === "json_object") return { type };
  if (type !== "json_schema") throw new Untranslatable(`${at}.type`, NOT_CARRIED);
  return readSchema(format, at);
}
