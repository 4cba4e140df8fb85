import type { AnswerFormat } from "../wires/answer-format.ts";
import type { JsonObject } from "../wire/json.ts";
import { OutputText } from "./output-text.ts";
import { type AnsweredBy, readAnsweredBy, readUsage, type TokenUsage, type UsageRecord } from "./usage.ts";

/** The part of a request that decides how its answer is metered. */
export interface MeteredRequest {
  /** Format of the answer. */
  readonly format: AnswerFormat;
  readonly wantsUsageChunk: boolean;
  /** Granted output bound over all choices. */
  readonly outputTokensMax: number;
  /** Number of requested choices. */
  readonly choices: number;
}

type MeteredAnswer = Pick<MeteredRequest, "format" | "outputTokensMax" | "choices">;

/** Output that an answer delivered. */
export interface DeliveredOutput {
  /** Estimated tokens. */
  readonly tokens: number;
  /** True if the upstream has sent all of its answer: it produces no more. */
  readonly isComplete: boolean;
}

/** Usage and output of an answer, by which it is charged. */
export interface MeteredUsage {
  /** Final count of the upstream; undefined if it is not known. */
  readonly usage: TokenUsage | undefined;
  /** Largest counts that the upstream reported, lower bounds of a usage that is not known; undefined if there were none. */
  readonly reported?: TokenUsage | undefined;
  /** Undefined if no answer was read. */
  readonly delivered?: DeliveredOutput | undefined;
  readonly answeredBy?: AnsweredBy;
}

/**
 * Meter of an answer, whole or in chunks: reads the usage that it reports, and counts the output that it delivers.
 *
 * Upstreams report usage once at the end, or the count so far in every chunk, or placeholders before or after it. A count is
 * final if no text follows it until the answer is complete, and if it fits what passed: text that was delivered has tokens, of
 * input too, and a count does not shrink. Every other count is a lower bound.
 */
export class AnswerMeter {
  readonly #request: MeteredAnswer;
  readonly #text = new OutputText();
  /** Chunks with output, each of at least one token as most upstreams send them. */
  #pieces = 0;
  #hasNewOutput = false;
  #promptTokens = 0;
  #completionTokens = 0;
  #hasReport = false;
  /** Parts of the prompt, as the last record that counts it says. */
  #promptParts: ReturnType<typeof promptPartsOf> | undefined;
  /** Last usage after which no text came. */
  #latest: TokenUsage | undefined;
  readonly #ofChoices = new Map<number, UsageRecord>();
  /** Model and service tier that the chunk with the usage reports, else those of an earlier chunk. */
  #answeredBy: AnsweredBy = {};
  #isComplete = false;

  constructor(request: MeteredAnswer) {
    this.#request = request;
  }

  /** True once there was output. */
  get hasOutput(): boolean {
    return this.#pieces > 0;
  }

  /** True if the last chunk had output. */
  get hasNewOutput(): boolean {
    return this.#hasNewOutput;
  }

  /** Result of the metering so far. */
  get metered(): MeteredUsage {
    const { usage, reported } = this;
    const delivered = { tokens: Math.max(this.#text.estimate, this.#pieces), isComplete: this.#isComplete };
    return { usage, reported, delivered, answeredBy: this.#answeredBy };
  }

  /** Lower bound of the tokens that were delivered, by their text. */
  get leastTokens(): number {
    return this.#text.least;
  }

  /** Largest counts reported so far; undefined if there were none. */
  get reported(): TokenUsage | undefined {
    if (!this.#hasReport) return undefined;
    return { promptTokens: this.#promptTokens, completionTokens: this.#completionTokens };
  }

  /** Final usage of the answer; undefined until it is known. */
  get usage(): TokenUsage | undefined {
    // Anything else than a free answer has a usage or an output, by which it is billed.
    const isFree = this.#request.format.isFree === true && !this.#hasReport && !this.hasOutput;
    if (isFree) return this.#isComplete ? NO_USAGE : undefined;
    const usage = this.#isComplete ? this.#latest : undefined;
    if (usage === undefined) return undefined;
    const { promptTokens, completionTokens } = usage;
    if (promptTokens < this.#promptTokens || completionTokens < this.#completionTokens) return undefined;
    // A provider bills what it reports: only a count that is impossible is doubted, not one that is improbable.
    const isPlaceholder = completionTokens < this.#text.leastByLength || (this.hasOutput && completionTokens === 0);
    const hasNoInput = promptTokens === 0 && (completionTokens > 0 || this.hasOutput);
    return isPlaceholder || hasNoInput ? undefined : usage;
  }

  /** Marks that the upstream has sent all of its answer, unless more output follows. */
  complete(): void {
    this.#isComplete = true;
  }

  /** Reads a whole answer or a chunk. @returns output tokens of a count that it reports; undefined if there is none */
  read(answer: JsonObject): number | undefined {
    const answeredBy = readAnsweredBy(answer);
    const { model, serviceTier } = answeredBy;
    const isNew = (model ?? this.#answeredBy.model) !== this.#answeredBy.model || serviceTier !== undefined;
    if (isNew) this.#answeredBy = { ...this.#answeredBy, ...answeredBy };
    this.#hasNewOutput = this.#addOutput(answer);
    if (this.#hasNewOutput) {
      this.#pieces++;
      this.#latest = undefined;
      this.#isComplete = false;
    }
    const reported = readUsage(answer, this.#request.outputTokensMax);
    if (reported === undefined) return undefined;
    return reported.whole === undefined ? this.#readChoices(reported.choices) : this.#readRecord(reported.whole);
  }

  #readRecord(record: UsageRecord): number | undefined {
    const promptTokens = record.promptTokens || this.#promptTokens;
    const { completionTokens } = record;
    if (!record.isConsistent) {
      // Contradictory counts only show that something was used, within what is possible.
      const isPossible = completionTokens !== undefined && completionTokens <= this.#request.outputTokensMax;
      if (isPossible) this.#completionTokens = Math.max(this.#completionTokens, completionTokens);
      return undefined;
    }
    this.#hasReport = true;
    if (record.promptTokens) this.#promptParts = promptPartsOf(record);
    this.#promptTokens = Math.max(this.#promptTokens, promptTokens);
    this.#completionTokens = Math.max(this.#completionTokens, completionTokens ?? 0);
    if (completionTokens === undefined) return undefined;
    const promptParts = record.promptTokens ? record : (this.#promptParts ?? record);
    const { cachedPromptTokens, cacheWriteTokens, promptAudioTokens } = promptParts;
    const { completionAudioTokens, reasoningTokens } = record;
    // Each by name: a rest of an object and its spread took 2 us.
    const usage = {
      promptTokens,
      completionTokens,
      cachedPromptTokens,
      cacheWriteTokens,
      promptAudioTokens,
      completionAudioTokens,
      reasoningTokens,
    };
    if (completionTokens > 0 || this.#latest === undefined) this.#latest = usage;
    return completionTokens;
  }

  /** Usage of single choices. The answer's is known once each of the requested choices has one. */
  #readChoices(records: ReadonlyMap<number, UsageRecord>): number | undefined {
    const { choices } = this.#request;
    for (const [index, record] of records) if (index < choices) this.#ofChoices.set(index, record);
    const all = [...this.#ofChoices.values()];
    const isEach = all.length === choices && all.every(({ completionTokens }) => completionTokens !== undefined);
    const sumOf = (part: "completionTokens" | "reasoningTokens" | "completionAudioTokens"): number =>
      all.reduce((sum, record) => sum + (record[part] ?? 0), 0);
    const [first] = all;
    if (first === undefined || records.size === 0) return undefined;
    const sums = { reasoningTokens: sumOf("reasoningTokens"), completionAudioTokens: sumOf("completionAudioTokens") };
    return this.#readRecord({
      ...first,
      ...(choices > 1 && sums),
      promptTokens: Math.max(...all.map(({ promptTokens = 0 }) => promptTokens)),
      completionTokens: isEach ? sumOf("completionTokens") : undefined,
      isConsistent: all.every(({ isConsistent }) => isConsistent),
    });
  }

  /** Counts the output of an answer. @returns true if there is any */
  #addOutput(answer: JsonObject): boolean {
    const { format, choices } = this.#request;
    this.#text.startChunk();
    return format.addOutput(this.#text, answer, choices);
  }
}

const NO_USAGE: TokenUsage = { promptTokens: 0, completionTokens: 0 };

function promptPartsOf({ cachedPromptTokens, cacheWriteTokens, promptAudioTokens }: UsageRecord) {
  return { cachedPromptTokens, cacheWriteTokens, promptAudioTokens };
}
