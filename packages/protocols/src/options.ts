import type { Dropped } from "./dropped.ts";
import { isAbsent } from "./fields.ts";
import { isObject, type JsonObject } from "./json.ts";
import type { Located, RequestOptions } from "./model.ts";
import { NOT_CARRIED, Untranslatable } from "./untranslatable.ts";

type OptionName = keyof RequestOptions;

/** Options whose values are passed on unchecked. */
type UncheckedName = {
  [Name in OptionName]: Located<unknown> extends NonNullable<RequestOptions[Name]> ? Name : never;
}[OptionName];

/** Reads the options that are passed on unchanged. @param names option of each member */
export function readOptions(body: JsonObject, names: Readonly<Record<string, UncheckedName>>): RequestOptions {
  const options: { -readonly [Name in UncheckedName]?: Located<unknown> } = {};
  for (const [at, option] of Object.entries(names)) if (!isAbsent(body[at])) options[option] = { value: body[at], at };
  return options;
}

/** Writes the options that are passed on unchanged. @param names member of each option */
export function writeOptions(
  options: RequestOptions,
  names: Readonly<Partial<Record<OptionName, string>>>,
): JsonObject {
  const members: JsonObject = {};
  for (const [option, member] of Object.entries(names) as [OptionName, string][]) {
    const located = options[option];
    if (located !== undefined) members[member] = located.value;
  }
  return members;
}

/**
 * Consequence of leaving out an option: `none`; `dropped`, which is reported but does not matter; or `refused`, because the client would
 * miss it.
 */
type Loss = "none" | "dropped" | "refused";

/** Consequence of leaving out each option, by its value, on a wire that does not have it. */
const LOSSES: Readonly<Record<OptionName, (value: unknown) => Loss>> = {
  temperature: () => "refused",
  topP: () => "refused",
  topK: () => "refused",
  parallelToolCalls: (value) => (value === true ? "none" : "refused"),
  user: () => "dropped",
  serviceTier: (value) => (value === "auto" ? "none" : "refused"),
  seed: () => "dropped",
  frequencyPenalty: (value) => (value === 0 ? "none" : "refused"),
  presencePenalty: (value) => (value === 0 ? "none" : "refused"),
  logitBias: (value) => (isObject(value) && Object.keys(value).length === 0 ? "none" : "refused"),
  logprobs: (value) => (value === false ? "none" : "refused"),
  topLogprobs: (value) => (value === 0 ? "none" : "refused"),
  choices: (value) => (value === 1 ? "none" : "refused"),
  verbosity: (value) => (value === "medium" ? "none" : "dropped"),
  prediction: () => "dropped",
  store: (value) => (value === false ? "none" : "refused"),
  metadata: () => "dropped",
  promptCacheKey: () => "dropped",
  promptCacheRetention: () => "dropped",
  promptCacheOptions: () => "dropped",
  includeObfuscation: (value) => (value === false ? "none" : "dropped"),
  cacheControl: () => "dropped",
};

/**
 * Leaves out the options of a request that a wire does not have.
 *
 * @param taken options that the writer has written
 * @throws Untranslatable for the first option that the client would miss
 */
export function leaveOut(options: RequestOptions, taken: ReadonlySet<OptionName>, dropped: Dropped): void {
  for (const name of Object.keys(options) as OptionName[]) {
    const option = options[name];
    if (option === undefined || taken.has(name)) continue;
    const loss = LOSSES[name](option.value);
    if (loss === "refused") throw new Untranslatable(option.at, NOT_CARRIED);
    if (loss === "dropped") dropped.add(option.at);
  }
}
