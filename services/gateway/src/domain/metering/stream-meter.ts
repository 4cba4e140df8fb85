import { isObject, type JsonObject, parseJsonOrUndefined } from "../wire/json.ts";
import { type AnsweredBy, hasOutput, isPlaceholder, readAnsweredBy, readUsage, type TokenUsage } from "./usage.ts";

/**
 * Matches members that matter, so that other chunks need not be parsed. A quote within a JSON string is escaped, and does not
 * match.
 */
const USAGE = /"usage"\s*:\s*\{/;
const MODEL = /"model"\s*:\s*"/;
const FINISH = /"finish_reason"\s*:\s*"/;
const ERROR = /"error"\s*:\s*[{"]/;

/** The part of a request that decides how its stream is metered. */
export interface MeteredRequest {
  readonly wantsUsageChunk: boolean;
  /** Granted output bound over all choices. */
  readonly outputTokensMax: number;
  /** Number of requested choices. */
  readonly choices: number;
}

/**
 * Meter of a stream of chat completion chunks: reads usage, errors and the end, and finds the usage chunk that only the gateway
 * requested.
 *
 * Upstreams report usage once at the end, or the count so far in every chunk, or placeholders before the end. A count is final if
 * it is in or after the chunk that finishes the last choice, or in the last chunk before `[DONE]`, and no text follows it. Every
 * other count is a lower bound: the upstream may continue after it, so a client must not pay less by leaving then.
 */
export class StreamMeter {
  readonly #request: MeteredRequest;
  /** Indices of the choices that are finished. */
  readonly #finished = new Set<number>();
  /** Pieces of text, each at least one token. */
  #pieces = 0;
  #usage: TokenUsage | undefined;
  #reported: TokenUsage | undefined;
  /** Usage in the last chunk, final or not. */
  #lastUsage: TokenUsage | undefined;
  #answeredBy: AnsweredBy = {};
  #done = false;
  #failed = false;
  #overran = false;

  constructor(request: MeteredRequest) {
    this.#request = request;
  }

  /** True if the stream has used more output than was granted, by its pieces of text or by a usage that it reports meanwhile. */
  get isExhausted(): boolean {
    return this.#pieces > this.#request.outputTokensMax || this.#overran;
  }

  /** True once there was output. */
  get hasBegun(): boolean {
    return this.#pieces > 0;
  }

  /** Final usage of the answer; undefined until it is known. */
  get usage(): TokenUsage | undefined {
    return this.#usage;
  }

  /** Largest usage reported so far, a lower bound of the final one; undefined if there was none. */
  get reported(): TokenUsage | undefined {
    return this.#reported;
  }

  /** Model and service tier that the chunk with the usage reports, else those of an earlier chunk. */
  get answeredBy(): AnsweredBy {
    return this.#answeredBy;
  }

  /** True once every requested choice is finished. */
  get isFinished(): boolean {
    return this.#finished.size === this.#request.choices;
  }

  /** True once the upstream has sent the end of the stream. */
  get isDone(): boolean {
    return this.#done;
  }

  /** True once the upstream has sent an error. */
  get hasFailed(): boolean {
    return this.#failed;
  }

  /** Reads events until the grant is used up. @returns those that the client is to get */
  absorbAll<E extends { readonly data: string | undefined }>(events: readonly E[]): readonly E[] {
    const visible: E[] = [];
    for (const event of events) {
      const isVisible = this.absorb(event.data);
      if (this.isExhausted) break;
      if (isVisible) visible.push(event);
    }
    return visible;
  }

  /** Reads the data of one event. @returns true if the client is to get the event */
  absorb(data: string | undefined): boolean {
    if (data === undefined) return true;
    if (data.trim() === "[DONE]") {
      this.#done = true;
      this.#usage ??= this.#lastUsage;
      return true;
    }
    this.#lastUsage = undefined;
    if (hasOutput(data)) {
      this.#pieces += 1;
      this.#usage = undefined;
    }
    const hasUsage = USAGE.test(data);
    const isFirstWithModel = this.#answeredBy.model === undefined && MODEL.test(data);
    if (!hasUsage && !isFirstWithModel && !FINISH.test(data) && !ERROR.test(data)) return true;
    const chunk = parseJsonOrUndefined(data);
    if (!isObject(chunk)) return true;
    this.#answeredBy = { ...this.#answeredBy, ...readAnsweredBy(chunk) };
    this.#failed ||= Boolean(chunk["error"]);
    this.#finish(chunk);
    if (!hasUsage) return true;
    this.#report(chunk);
    return this.#request.wantsUsageChunk || !isUsageOnly(chunk);
  }

  #finish({ choices }: JsonObject): void {
    if (!Array.isArray(choices)) return;
    choices.forEach((choice, position) => {
      if (!isFinished(choice)) return;
      const index = Number(choice["index"] ?? position);
      if (Number.isInteger(index) && index >= 0 && index < this.#request.choices) this.#finished.add(index);
    });
  }

  #report(chunk: JsonObject): void {
    const usage = readUsage(chunk);
    if (usage === undefined) return;
    this.#overran ||= usage.completionTokens > this.#request.outputTokensMax && hasUnfinishedChoice(chunk);
    this.#reported = largerOf(usage, this.#reported);
    if (isPlaceholder(usage, this.hasBegun)) return;
    this.#lastUsage = usage;
    if (this.#done || this.isFinished) this.#usage = usage;
  }
}

function largerOf(usage: TokenUsage, other: TokenUsage = usage): TokenUsage {
  const promptTokens = Math.max(usage.promptTokens, other.promptTokens);
  const completionTokens = Math.max(usage.completionTokens, other.completionTokens);
  return { ...usage, promptTokens, completionTokens };
}

/** True if a choice has a finish reason. Some servers write an empty string, or the word `null`, instead of null. */
export function isFinished(choice: unknown): choice is JsonObject {
  const reason = isObject(choice) ? choice["finish_reason"] : undefined;
  return typeof reason === "string" && reason !== "" && reason !== "null";
}

/** True if a choice of the chunk is not finished. */
function hasUnfinishedChoice({ choices }: JsonObject): boolean {
  return Array.isArray(choices) && choices.some((choice) => isObject(choice) && !isFinished(choice));
}

/** True for the chunk that `stream_options.include_usage` adds: it has usage and no choice. */
function isUsageOnly(chunk: JsonObject): boolean {
  const { choices, usage } = chunk;
  return isObject(usage) && Array.isArray(choices) && choices.length === 0;
}
