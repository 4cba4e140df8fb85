/** Reader of the usage that answers and chunks report, in every dialect of `usage-names.ts`. */
import { MAX_REQUEST_TOKENS } from "@routeplane/domain";
import { isObject, type JsonObject } from "../wire/json.ts";
import {
  CACHE_READ,
  CACHE_READ_BESIDE,
  CACHE_WRITE,
  CACHE_WRITE_BESIDE,
  CHOICE_USAGE_PLACES,
  COMPLETION,
  COMPLETION_AUDIO,
  INPUT_BESIDE_CACHE,
  MODEL,
  PROMPT,
  PROMPT_AUDIO,
  PROMPT_BESIDE,
  REASONING,
  REASONING_BESIDE,
  SERVICE_TIER,
  TOTAL,
  USAGE_PLACES,
} from "./usage-names.ts";

/**
 * Token counts that an upstream reported. Every part is included in its whole, whatever the upstream's dialect says; a part is
 * undefined if the upstream does not report it.
 */
export interface TokenUsage {
  /** All input, cached and written to the cache included. */
  readonly promptTokens: number;
  /** All output that is billed, reasoning included. */
  readonly completionTokens: number;
  /** Part of the prompt that was read from a cache. */
  readonly cachedPromptTokens?: number | undefined;
  /** Part of the prompt that was written to a cache. */
  readonly cacheWriteTokens?: number | undefined;
  readonly promptAudioTokens?: number | undefined;
  readonly completionAudioTokens?: number | undefined;
  /** Part of the completion that the client does not see. */
  readonly reasoningTokens?: number | undefined;
}

/** Usage as one record reports it: some frames of a stream count only input, or only output. */
export type UsageRecord = { readonly [Count in keyof TokenUsage]?: number | undefined } & {
  /** False if counts of the record contradict each other, or one is no count: then the others are doubtful too. */
  readonly isConsistent: boolean;
};

/** Usage records of an answer or a chunk. */
export interface ReportedUsage {
  /** Record of the whole answer; undefined if there is none. */
  readonly whole: UsageRecord | undefined;
  /** Records of single choices, by index. */
  readonly choices: ReadonlyMap<number, UsageRecord>;
}

/** Facts that an answer reports about its origin, as far as its price depends on them. */
export interface AnsweredBy {
  readonly model?: string;
  readonly serviceTier?: string;
}

const MAX_NAME_CHARS = 256;

/**
 * Reads the usage of an answer or a chunk.
 *
 * @param outputTokensMax output bound of the request: a total is believed to count output beyond it only if a count says so
 */
export function readUsage(answer: JsonObject, outputTokensMax: number): ReportedUsage {
  const read = (record: JsonObject): UsageRecord | undefined => readRecord(record, outputTokensMax);
  const records = WHOLE.flatMap((path) => recordsAt(answer, path).map(read));
  const choices = new Map<number, UsageRecord>();
  const { choices: list } = answer;
  if (Array.isArray(list)) {
    for (const [position, choice] of list.entries()) {
      const record = isObject(choice)
        ? firstOf(OF_CHOICE.flatMap((path) => recordsAt(choice, path).map(read)))
        : undefined;
      if (record !== undefined) choices.set(indexOf(choice, position), record);
    }
  }
  return { whole: firstOf(records), choices };
}

/** Reads the model and service tier that an answer or a chunk reports. */
export function readAnsweredBy(answer: unknown): AnsweredBy {
  if (!isObject(answer)) return {};
  const model = nameAt(answer, MODEL_PATHS);
  const serviceTier = nameAt(answer, TIER_PATHS);
  return { ...(model !== undefined && { model }), ...(serviceTier !== undefined && { serviceTier }) };
}

/** Position in a list, unless the item has its own as member. */
function indexOf(choice: JsonObject, position: number): number {
  const index = Number(choice["index"] ?? position);
  return Number.isInteger(index) && index >= 0 ? index : position;
}

/** First record that counts anything, else the first one: some servers write zeros in one place and the counts in another. */
function firstOf(records: readonly (UsageRecord | undefined)[]): UsageRecord | undefined {
  const counts = (record: UsageRecord | undefined): boolean =>
    record !== undefined && ((record.promptTokens ?? 0) > 0 || (record.completionTokens ?? 0) > 0);
  return records.find(counts) ?? records.find((record) => record !== undefined);
}

function readRecord(record: JsonObject, outputTokensMax: number): UsageRecord | undefined {
  const prompt = readCount(record, PROMPT_PATHS);
  const completion = readCount(record, COMPLETION_PATHS);
  const total = readCount(record, TOTAL_PATHS);
  if (prompt.value === undefined && completion.value === undefined && !prompt.isFault && !completion.isFault) {
    return undefined;
  }
  const cached = partsOf(record, CACHE_READ_PATHS, CACHE_READ_BESIDE_PATHS);
  const written = partsOf(record, CACHE_WRITE_PATHS, CACHE_WRITE_BESIDE_PATHS);
  const counted = { prompt: prompt.value, completion: completion.value, total: total.value };
  const beside = cacheBeside(prompt, counted, cached.beside + written.beside);
  const input =
    prompt.value === undefined ? undefined : prompt.value + beside + (countAt(record, TOOL_PROMPT_PATHS) ?? 0);
  const reasoning = countAt(record, REASONING_PATHS) ?? countAt(record, REASONING_BESIDE_PATHS);
  const isBeside = countAt(record, REASONING_PATHS) === undefined && reasoning !== undefined;
  const whole = crossCheck({ ...counted, prompt: input, beside, reasoning, isBeside }, outputTokensMax);
  const isBounded =
    (whole.promptTokens ?? 0) <= MAX_REQUEST_TOKENS && (whole.completionTokens ?? 0) <= MAX_REQUEST_TOKENS;
  const cacheWriteTokens = within(whole.promptTokens, written.value);
  return {
    ...whole,
    isConsistent: whole.isConsistent && isBounded && !prompt.isFault && !completion.isFault,
    cachedPromptTokens: within((whole.promptTokens ?? 0) - (cacheWriteTokens ?? 0), cached.value),
    cacheWriteTokens,
    promptAudioTokens: within(whole.promptTokens, countAt(record, PROMPT_AUDIO_PATHS)),
    completionAudioTokens: within(whole.completionTokens, countAt(record, COMPLETION_AUDIO_PATHS)),
    reasoningTokens: within(whole.completionTokens, reasoning),
  };
}

interface Counted {
  readonly prompt: number | undefined;
  readonly completion: number | undefined;
  readonly total: number | undefined;
}

/**
 * Tokens of the cache that lie beside the prompt. Anthropic's names of the input leave them out. Under OpenAI's they are within,
 * unless they are more than it, or the total counts both.
 */
function cacheBeside({ name, value = 0 }: Count, { completion = 0, total }: Counted, tokens: number): number {
  const isBeside = INPUT_BESIDE_CACHE.has(name) || tokens > value || total === value + completion + tokens;
  return isBeside ? tokens : 0;
}

interface Counts extends Counted {
  /** Part of the prompt that its own name leaves out. */
  readonly beside: number;
  readonly reasoning: number | undefined;
  /** True if the dialect always counts reasoning beside the completion. */
  readonly isBeside: boolean;
}

/**
 * Checks the counts of a record against its total, which tells what lies beside what: xAI's and Gemini's reasoning lies beside
 * the completion, OpenAI's within it. A count that is missing is what the others leave of the total.
 */
function crossCheck(counts: Counts, outputTokensMax: number): UsageRecord {
  const { prompt, completion, beside, reasoning = 0, isBeside } = counts;
  // A total of zero is a placeholder like the others.
  const total = counts.total === 0 ? undefined : counts.total;
  if (prompt === undefined || completion === undefined) {
    const rest = total === undefined ? undefined : total - (prompt ?? completion ?? 0);
    if (rest === undefined) return { promptTokens: prompt, completionTokens: completion, isConsistent: true };
    const isConsistent = rest >= 0 && (prompt === undefined || rest <= Math.max(outputTokensMax, reasoning));
    const known = isConsistent ? rest : undefined;
    return { promptTokens: prompt ?? known, completionTokens: completion ?? known, isConsistent };
  }
  const sum = prompt + completion;
  // Reasoning that is more than the completion cannot be within it, whatever the total counts.
  const withReasoning = completion + reasoning;
  const least = isBeside || reasoning > completion ? withReasoning : completion;
  if (total === undefined || total === sum || total === sum - beside || total === prompt + withReasoning) {
    const completionTokens = total === prompt + withReasoning ? withReasoning : least;
    return { promptTokens: prompt, completionTokens, isConsistent: true };
  }
  const output = total - prompt;
  const isConsistent = output >= least && output <= Math.max(outputTokensMax, withReasoning);
  return { promptTokens: prompt, completionTokens: isConsistent ? output : least, isConsistent };
}

/** A part of a whole; undefined also if it is larger than that: then it is billed like the rest. */
function within(whole: number | undefined, part: number | undefined): number | undefined {
  return part !== undefined && whole !== undefined && part <= whole ? part : undefined;
}

function partsOf(record: JsonObject, paths: readonly Path[], pathsBeside: readonly Path[]) {
  const part = countAt(record, paths);
  const beside = countAt(record, pathsBeside);
  return { value: part ?? beside, beside: part === undefined ? (beside ?? 0) : 0 };
}

/** Count under one of several names. */
interface Count {
  /** Undefined if no name has a count. */
  readonly value: number | undefined;
  readonly name: string;
  /** True if a name has something that is no count. */
  readonly isFault: boolean;
}

/** First count above zero, else zero. */
function readCount(record: JsonObject, paths: readonly Path[]): Count {
  let value: number | undefined;
  let name = "";
  let isFault = false;
  for (const path of paths) {
    const written = valueAt(record, path);
    if (written === undefined || written === null) continue;
    const count = toCount(written);
    isFault ||= count === undefined;
    if (count === undefined || (value !== undefined && (value > 0 || count === 0))) continue;
    value = count;
    name = path.text;
  }
  return { value, name, isFault };
}

function countAt(record: JsonObject, paths: readonly Path[]): number | undefined {
  return readCount(record, paths).value;
}

/** Whole number of tokens, or digits that write one. */
function toCount(value: unknown): number | undefined {
  const number = typeof value === "string" && /^\s*\d{1,15}(?:\.0*)?\s*$/.test(value) ? Number(value) : value;
  if (typeof number !== "number" || !Number.isInteger(number) || number < 0 || number > MAX_REQUEST_TOKENS)
    return undefined;
  return number + 0;
}

/** Step of a path: a member, or the item of a list in it that has this modality. */
interface Step {
  readonly name: string;
  readonly modality: string | undefined;
}

interface Path {
  readonly text: string;
  readonly steps: readonly Step[];
}

function pathsOf(paths: readonly string[]): readonly Path[] {
  return paths.map((text) => ({ text, steps: text === "" ? [] : text.split(".").map(stepOf) }));
}

function stepOf(text: string): Step {
  const [name = "", modality] = text.split(/[[\]]/, 2);
  return { name, modality };
}

function recordsAt(value: JsonObject, path: Path): readonly JsonObject[] {
  const record = valueAt(value, path);
  return isObject(record) ? [record] : [];
}

function valueAt(value: unknown, { steps }: Path): unknown {
  let found = value;
  for (const { name, modality } of steps) {
    found = isObject(found) && Object.hasOwn(found, name) ? found[name] : undefined;
    if (modality === undefined) continue;
    const list: readonly unknown[] = Array.isArray(found) ? found : [];
    found = list.find((item) => isObject(item) && item["modality"] === modality);
  }
  return found;
}

function nameAt(answer: JsonObject, paths: readonly Path[]): string | undefined {
  for (const path of paths) {
    const value = valueAt(answer, path);
    if (typeof value === "string" && value !== "" && value.length <= MAX_NAME_CHARS) return value;
  }
  return undefined;
}

const WHOLE = pathsOf(USAGE_PLACES);
const OF_CHOICE = pathsOf(CHOICE_USAGE_PLACES);
const PROMPT_PATHS = pathsOf(PROMPT);
const TOOL_PROMPT_PATHS = pathsOf(PROMPT_BESIDE);
const COMPLETION_PATHS = pathsOf(COMPLETION);
const TOTAL_PATHS = pathsOf(TOTAL);
const CACHE_READ_PATHS = pathsOf(CACHE_READ);
const CACHE_READ_BESIDE_PATHS = pathsOf(CACHE_READ_BESIDE);
const CACHE_WRITE_PATHS = pathsOf(CACHE_WRITE);
const CACHE_WRITE_BESIDE_PATHS = pathsOf(CACHE_WRITE_BESIDE);
const PROMPT_AUDIO_PATHS = pathsOf(PROMPT_AUDIO);
const COMPLETION_AUDIO_PATHS = pathsOf(COMPLETION_AUDIO);
const REASONING_PATHS = pathsOf(REASONING);
const REASONING_BESIDE_PATHS = pathsOf(REASONING_BESIDE);
const MODEL_PATHS = pathsOf(MODEL);
const TIER_PATHS = pathsOf(SERVICE_TIER);
