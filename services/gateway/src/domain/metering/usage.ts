/** Reader of the usage that answers and chunks report, in every dialect of `usage-names.ts`. */
import { isObject, type JsonObject } from "../wire/json.ts";
import { type CountKind, MAX_TOKENS, readCounts } from "./usage-counts.ts";
import { CHOICE_USAGE_PLACES, MODEL, ROOT_COUNTS, SERVICE_TIER, USAGE_PLACES } from "./usage-names.ts";

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
  /** False if counts of the record contradict each other, or one is not a count: then the others are doubtful too. */
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
 * @returns undefined if it reports none
 */
export function readUsage(answer: JsonObject, outputTokensMax: number): ReportedUsage | undefined {
  let whole: UsageRecord | undefined;
  for (const { member, path } of WHOLE) {
    const holder = answer[member];
    if (isObject(holder)) whole = betterOf(whole, recordAt(holder, path, outputTokensMax));
  }
  if (ROOT_COUNTS.some((name) => answer[name] !== undefined)) {
    whole = betterOf(whole, readRecord(answer, outputTokensMax));
  }
  const choices = readChoices(answer["choices"], outputTokensMax);
  return whole === undefined && choices === undefined ? undefined : { whole, choices: choices ?? new Map() };
}

/** Reads the model and service tier that an answer or a chunk reports. */
export function readAnsweredBy(answer: JsonObject): AnsweredBy {
  const model = nameAt(answer, MODEL_PATHS);
  const serviceTier = nameAt(answer, TIER_PATHS);
  return { ...(model !== undefined && { model }), ...(serviceTier !== undefined && { serviceTier }) };
}

function readChoices(list: unknown, outputTokensMax: number): Map<number, UsageRecord> | undefined {
  if (!Array.isArray(list)) return undefined;
  let records: Map<number, UsageRecord> | undefined;
  for (const [position, choice] of list.entries()) {
    if (!isObject(choice)) continue;
    let record: UsageRecord | undefined;
    for (const { member, path } of CHOICE_PLACES) {
      record = betterOf(record, recordAt(choice[member], path, outputTokensMax));
    }
    if (record === undefined) continue;
    records ??= new Map();
    records.set(indexOf(choice, position), record);
  }
  return records;
}

/** Number that a value is or writes; not a number for an object, whose own `valueOf` would be called. */
function toNumber(value: unknown): number {
  return typeof value === "object" ? Number.NaN : Number(value);
}

/** Position in a list, unless the item has its own as member. */
function indexOf(choice: JsonObject, position: number): number {
  const index = toNumber(choice["index"] ?? position);
  return Number.isInteger(index) && index >= 0 ? index : position;
}

/** The first record, unless it counts nothing: some servers write zeros in one place and the counts in another. */
function betterOf(first: UsageRecord | undefined, second: UsageRecord | undefined): UsageRecord | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  const isEmpty = (first.promptTokens ?? 0) === 0 && (first.completionTokens ?? 0) === 0;
  return isEmpty ? second : first;
}

function recordAt(value: unknown, path: Path, outputTokensMax: number): UsageRecord | undefined {
  const record = valueAt(value, path);
  return isObject(record) ? readRecord(record, outputTokensMax) : undefined;
}

function readRecord(record: JsonObject, outputTokensMax: number): UsageRecord | undefined {
  const counts = readCounts(record);
  if (counts === undefined) return undefined;
  const { values, faults } = counts;
  const isFaulty = faults.has("prompt") || faults.has("input") || faults.has("completion");
  const isInput = !((values.prompt ?? 0) > 0) && values.input !== undefined;
  const prompt = isInput ? values.input : values.prompt;
  const { total } = values;
  // A total is all input where there is no output, as of embeddings.
  const hasNoOutput = outputTokensMax === 0 && (prompt ?? total) !== undefined;
  const completion = values.completion ?? (hasNoOutput ? 0 : undefined);
  if (prompt === undefined && completion === undefined && !isFaulty) return undefined;
  const read = partOf(values, "cacheRead");
  const written = partOf(values, "cacheWrite");
  const beside = cacheBeside({ prompt, completion, total }, read.beside + written.beside, isInput);
  const whole = crossCheck(
    {
      prompt: prompt === undefined ? undefined : prompt + beside + (values.promptBeside ?? 0),
      completion,
      total,
      beside,
      reasoning: values.reasoning ?? values.reasoningBeside,
      isBeside: values.reasoning === undefined && values.reasoningBeside !== undefined,
    },
    outputTokensMax,
  );
  const { promptTokens, completionTokens } = whole;
  const cacheWriteTokens = within(promptTokens, written.tokens);
  return {
    ...whole,
    isConsistent: whole.isConsistent && !isFaulty && (promptTokens ?? 0) <= MAX_TOKENS,
    cachedPromptTokens: within((promptTokens ?? 0) - (cacheWriteTokens ?? 0), read.tokens),
    cacheWriteTokens,
    promptAudioTokens: within(promptTokens, values.promptAudio),
    completionAudioTokens: within(completionTokens, values.completionAudio),
    reasoningTokens: within(completionTokens, values.reasoning ?? values.reasoningBeside),
  };
}

interface Counted {
  readonly prompt: number | undefined;
  readonly completion: number | undefined;
  readonly total: number | undefined;
}

/**
 * Cache tokens that are not included in the prompt. Under Anthropic's names the input does not include them. Under OpenAI's it does, unless
 * they are more than the prompt, or the total counts both.
 */
function cacheBeside({ prompt = 0, completion = 0, total }: Counted, tokens: number, isInput: boolean): number {
  return isInput || tokens > prompt || total === prompt + completion + tokens ? tokens : 0;
}

interface Counts extends Counted {
  /** Part of the prompt that its own name leaves out. */
  readonly beside: number;
  readonly reasoning: number | undefined;
  /** True if the dialect always counts reasoning in addition to the completion. */
  readonly isBeside: boolean;
}

/**
 * Checks the counts of a record against its total, which shows what includes what: the completion of xAI and Gemini does not include
 * reasoning, that of OpenAI does. A missing count is what the others leave of the total.
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

function partOf(values: Readonly<Partial<Record<CountKind, number>>>, kind: "cacheRead" | "cacheWrite") {
  const part = values[kind];
  const beside = values[`${kind}Beside`];
  return { tokens: part ?? beside, beside: part === undefined ? (beside ?? 0) : 0 };
}

type Path = readonly string[];

/** Member of an answer, and the path of a usage record within it. */
interface Place {
  readonly member: string;
  readonly path: Path;
}

function placesOf(paths: readonly string[]): readonly Place[] {
  return paths.map((path) => {
    const [member = "", ...rest] = path.split(".");
    return { member, path: rest };
  });
}

function valueAt(value: unknown, path: Path): unknown {
  let found = value;
  for (const name of path) found = isObject(found) && Object.hasOwn(found, name) ? found[name] : undefined;
  return found;
}

function nameAt(answer: JsonObject, places: readonly Place[]): string | undefined {
  for (const { member, path } of places) {
    const value = valueAt(answer[member], path);
    if (typeof value === "string" && value !== "" && value.length <= MAX_NAME_CHARS) return value;
  }
  return undefined;
}

const WHOLE = placesOf(USAGE_PLACES);
const CHOICE_PLACES = placesOf(CHOICE_USAGE_PLACES);
const MODEL_PATHS = placesOf(MODEL);
const TIER_PATHS = placesOf(SERVICE_TIER);
