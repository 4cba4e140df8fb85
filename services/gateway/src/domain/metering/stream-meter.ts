import { isObject, type JsonObject, parseJsonOrUndefined } from "../wire/json.ts";
import type { StreamFormat } from "../wires/answer-format.ts";
import { AnswerMeter, type MeteredRequest, type MeteredUsage } from "./answer-meter.ts";
import type { TokenUsage } from "./usage.ts";

/**
 * Meter of a streamed answer: reads usage, output, errors and the end, and finds the usage chunk that only the gateway requested.
 *
 * The answer is complete once its end came or every requested choice is finished. Text after that continues it.
 */
export class StreamMeter {
  readonly #request: MeteredRequest;
  readonly #format: StreamFormat;
  readonly #answer: AnswerMeter;
  /** Indices of the choices that are finished. */
  readonly #finished = new Set<number>();
  #done = false;
  #failed = false;
  #overran = false;

  constructor(request: MeteredRequest, format: StreamFormat) {
    this.#request = request;
    this.#format = format;
    this.#answer = new AnswerMeter(request);
  }

  /**
   * True if the stream has used more output than was granted: by its text, which cannot be fewer tokens, or by a usage that it
   * reports meanwhile.
   */
  get isExhausted(): boolean {
    return this.#overran || this.#answer.leastTokens > this.#request.outputTokensMax;
  }

  /** True once there was output. */
  get hasBegun(): boolean {
    return this.#answer.hasOutput;
  }

  /** True if the last event had output. */
  get hasNewOutput(): boolean {
    return this.#answer.hasNewOutput;
  }

  /** Final usage of the answer; undefined until it is known. */
  get usage(): TokenUsage | undefined {
    return this.#answer.usage;
  }

  /** Result of the metering so far. */
  get metered(): MeteredUsage {
    return this.#answer.metered;
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

  /** Marks that the upstream has sent the end of the stream. */
  end(): void {
    this.#done = true;
    this.#answer.complete();
  }

  /** Reads the data of one event. @returns true if the client is to get the event */
  absorb(data: string | undefined): boolean {
    if (data === undefined) return true;
    const chunk = parseJsonOrUndefined(data);
    if (!isObject(chunk)) return true;
    this.#failed ||= Boolean(chunk["error"]);
    const completionTokens = this.#answer.read(chunk);
    this.#finish(chunk);
    this.#overran ||= (completionTokens ?? 0) > this.#request.outputTokensMax && this.#format.isUnfinished(chunk);
    return this.#request.wantsUsageChunk || !this.#format.isUsageOnly(chunk);
  }

  #finish(chunk: JsonObject): void {
    const finished = this.#format.finishedBy(chunk);
    if (finished === undefined) return;
    for (const index of finished) {
      if (Number.isInteger(index) && index >= 0 && index < this.#request.choices) this.#finished.add(index);
    }
    if (this.isFinished && !this.#format.isUnfinished(chunk)) this.#answer.complete();
  }
}
