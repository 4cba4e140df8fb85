/**
 * Reader of usage in answers and chunks of the chat wire. Many upstreams use their own names and places for the counts, and include the
 * parts in the whole or count them separately.
 */
import { isObject, type JsonObject } from "../json.ts";
import type { Usage } from "../model.ts";

/** Paths of usage records, in the answer and in its first choice. */
const PLACES = [
  "usage",
  "x_groq.usage",
  "message.usage",
  "metadata.usage",
  "usageMetadata",
  "usage.tokens",
  "usage.billed_units",
  "amazon-bedrock-invocationMetrics",
  "timings",
].map(toSteps);
/** Member whose presence makes the answer itself a usage record. */
const ROOT_COUNT = "eval_count";
const CHOICE_PLACES = ["usage", "delta.usage", "message.usage"].map(toSteps);

/**
 * Paths of each count. The first count above zero is used, else the first zero. Counts whose name ends with `Beside` are not included in
 * the whole. `name[WORD]` is the item of a list whose `modality` is the word.
 */
const PATHS = {
  prompt: ["prompt_tokens", "promptTokens", "promptTokenCount", "prompt_token_count", "prompt_eval_count"],
  input: ["input_tokens", "inputTokens", "inputTokenCount", "input_token_count", "prompt_n"],
  promptBeside: ["toolUsePromptTokenCount"],
  output: [
    "completion_tokens",
    "completionTokens",
    "candidatesTokenCount",
    "output_tokens",
    "outputTokens",
    "outputTokenCount",
    "generated_token_count",
    "eval_count",
    "predicted_n",
  ],
  total: ["total_tokens", "totalTokens", "totalTokenCount"],
  cached: [
    "prompt_tokens_details.cached_tokens",
    "input_tokens_details.cached_tokens",
    "prompt_cache_hit_tokens",
    "cachedContentTokenCount",
    "num_cached_tokens",
    "cached_tokens",
  ],
  cachedBeside: ["cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount", "cache_n"],
  written: [
    "prompt_tokens_details.cache_write_tokens",
    "prompt_tokens_details.cache_creation_tokens",
    "prompt_tokens_details.cache_creation_input_tokens",
    "input_tokens_details.cache_write_tokens",
  ],
  writtenBeside: ["cache_creation_input_tokens", "cacheWriteInputTokens", "cacheWriteInputTokenCount"],
  written5m: [
    "cache_creation.ephemeral_5m_input_tokens",
    "prompt_tokens_details.cache_creation.ephemeral_5m_input_tokens",
  ],
  written1h: [
    "cache_creation.ephemeral_1h_input_tokens",
    "prompt_tokens_details.cache_creation.ephemeral_1h_input_tokens",
  ],
  audioInput: [
    "prompt_tokens_details.audio_tokens",
    "input_tokens_details.audio_tokens",
    "promptTokensDetails[AUDIO].tokenCount",
  ],
  audioOutput: [
    "completion_tokens_details.audio_tokens",
    "output_tokens_details.audio_tokens",
    "candidatesTokensDetails[AUDIO].tokenCount",
  ],
  reasoning: [
    "completion_tokens_details.reasoning_tokens",
    "output_tokens_details.reasoning_tokens",
    "completion_tokens_details.thinking_tokens",
    "reasoning_tokens",
    "reasoningTokens",
  ],
  reasoningBeside: ["thoughtsTokenCount"],
} as const;

type CountName = keyof typeof PATHS;
type Counts = { -readonly [Name in CountName]?: number };

const NAMES = (Object.keys(PATHS) as CountName[]).map((name) => ({
  name,
  paths: PATHS[name].map(toSteps),
}));
/** Maximum plausible count; larger ones are ignored. */
const MAX_TOKENS = 1_000_000_000;

/**
 * Reads the usage of an answer or a chunk. Of several records, one with counts above zero is preferred.
 *
 * @returns undefined if there is none
 */
export function readChatUsage(answer: JsonObject): Usage | undefined {
  let found: Usage | undefined;
  for (const path of PLACES) found = betterOf(found, readRecord(valueAt(answer, path)));
  if (answer[ROOT_COUNT] !== undefined) found = betterOf(found, readRecord(answer));
  const choice = Array.isArray(answer["choices"]) ? (answer["choices"] as unknown[])[0] : undefined;
  if (isObject(choice)) for (const path of CHOICE_PLACES) found = betterOf(found, readRecord(valueAt(choice, path)));
  return found;
}

/** True for a record with only zeros, which some upstreams write if they have no counts. */
export function isPlaceholder({ input = 0, output = 0 }: Usage): boolean {
  return input === 0 && output === 0;
}

function betterOf(first: Usage | undefined, second: Usage | undefined): Usage | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  return isPlaceholder(first) ? second : first;
}

function readRecord(record: unknown): Usage | undefined {
  if (!isObject(record)) return undefined;
  const counts: Counts = {};
  for (const { name, paths } of NAMES) {
    const count = countAt(record, paths);
    if (count !== undefined) counts[name] = count;
  }
  return toUsage(counts);
}

function countAt(record: JsonObject, paths: readonly (readonly Step[])[]): number | undefined {
  let zero: number | undefined;
  for (const path of paths) {
    const count = toCount(valueAt(record, path));
    if (count !== undefined && count > 0) return count;
    zero ??= count;
  }
  return zero;
}

function toUsage(counts: Counts): Usage | undefined {
  const { prompt, input, total, written5m, written1h, audioInput, audioOutput } = counts;
  const isInput = !((prompt ?? 0) > 0) && input !== undefined;
  const named = isInput ? input : prompt;
  if (named === undefined && counts.output === undefined) return undefined;
  const beside = besideOf(counts, named ?? 0, isInput);
  const whole = named === undefined ? undefined : named + beside + (counts.promptBeside ?? 0);
  const output = outputOf(counts, whole, beside);
  const restInput = whole ?? restOf(total, output);
  return defined({
    input: restInput,
    cachedInput: counts.cached ?? counts.cachedBeside,
    cacheWrite: counts.written ?? counts.writtenBeside,
    cacheWrite5m: written5m,
    cacheWrite1h: written1h,
    audioInput,
    output,
    reasoning: counts.reasoning ?? counts.reasoningBeside,
    audioOutput,
  });
}

/**
 * Cache tokens that the input count does not include. Counts by Anthropic's names exclude them; counts by OpenAI's names include them
 * unless the total shows otherwise.
 */
function besideOf(counts: Counts, named: number, isInput: boolean): number {
  const read = counts.cached === undefined ? (counts.cachedBeside ?? 0) : 0;
  const written = counts.written === undefined ? (counts.writtenBeside ?? 0) : 0;
  const tokens = read + written;
  const isBeside = isInput || tokens > named || counts.total === named + (counts.output ?? 0) + tokens;
  return isBeside ? tokens : 0;
}

/** All output. The total shows whether reasoning is counted separately; a missing count is computed from the total. */
function outputOf(
  { output, total, reasoning = 0 }: Counts,
  input: number | undefined,
  beside: number,
): number | undefined {
  if (output === undefined || input === undefined) return output ?? restOf(total, input);
  const isBeside = reasoning > output || total === input + output + reasoning;
  const least = isBeside ? output + reasoning : output;
  if (total === undefined || total === input + output || total === input + output - beside) return least;
  return Math.max(least, restOf(total, input) ?? 0);
}

function restOf(total: number | undefined, known: number | undefined): number | undefined {
  return total === undefined || known === undefined || total < known ? undefined : total - known;
}

function toCount(value: unknown): number | undefined {
  const count = typeof value === "string" && /^\d{1,10}$/.test(value) ? Number(value) : value;
  return typeof count === "number" && Number.isInteger(count) && count >= 0 && count <= MAX_TOKENS ? count : undefined;
}

/** Step of a path: to a member and, if that is a list, to the item of a modality. */
interface Step {
  readonly name: string;
  readonly modality: string | undefined;
}

function toSteps(path: string): readonly Step[] {
  return path.split(".").map((step) => {
    const [name = "", modality] = step.split(/[[\]]/, 2);
    return { name, modality };
  });
}

function valueAt(value: unknown, path: readonly Step[]): unknown {
  let found = value;
  for (const { name, modality } of path) {
    if (!isObject(found) || !Object.hasOwn(found, name)) return undefined;
    found = modality === undefined ? found[name] : itemOf(found[name], modality);
  }
  return found;
}

function itemOf(list: unknown, modality: string): unknown {
  return Array.isArray(list) ? list.find((item) => isObject(item) && item["modality"] === modality) : undefined;
}

function defined(usage: { readonly [Name in keyof Usage]: number | undefined }): Usage {
  return Object.fromEntries(Object.entries(usage).filter(([, count]) => count !== undefined)) as Usage;
}
