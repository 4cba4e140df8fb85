import { setTimeout as delay } from "node:timers/promises";
import type { MeteredRequest } from "../metering/answer-meter.ts";
import { StreamMeter } from "../metering/stream-meter.ts";
import {
  checkJson,
  checkLargeJson,
  isObject,
  LARGE_JSON_CHARS,
  MAX_ANSWER_VALUES,
  parseJsonOrUndefined,
} from "../wire/json.ts";
import { type SseEvent, SseSplitter } from "../wire/sse.ts";
import type { StreamFormat } from "../wires/answer-format.ts";
import { MAX_ANSWER_BYTES } from "./answer-body.ts";
import { isKeepAlive } from "./keep-alive.ts";
import type { UpstreamWords } from "./upstream-words.ts";
import type { CancelSignal } from "../ports/cancel-signal.ts";

/** Wait for the end once every choice is finished and the usage is known; and for the usage after the end. */
export const END_GRACE_MS = 1_000;
/** Wait for usage and end once every choice is finished. */
export const FINISH_GRACE_MS = 10_000;

/**
 * Stream of an upstream, read to its end: its last event, an error, the end of the connection; or a short wait after every requested
 * choice is finished, whatever the upstream does then. Its events, usage and end do not depend on how its bytes arrive in chunks.
 */
export class AnswerStream {
  readonly meter: StreamMeter;
  readonly #format: StreamFormat;
  readonly #body: AsyncIterable<Uint8Array>;
  #chunks: AsyncIterator<Uint8Array> | undefined;
  readonly #signal: CancelSignal;
  readonly #splitter = new SseSplitter(MAX_ANSWER_BYTES);
  /** Monotonic time of the finish, or of the last text after it. */
  #finishedAt: number | undefined;
  #doneAt: number | undefined;
  #hasTextAfterFinish = false;
  #hasEndedCleanly = false;
  #hasData = false;
  #error: { readonly words: UpstreamWords; readonly isFirst: boolean } | undefined;
  #hasFailedChoice = false;
  #fault: unknown;
  #isOver = false;

  /** @param signal stops the reading of large events once it is aborted */
  constructor(body: AsyncIterable<Uint8Array>, request: MeteredRequest, format: StreamFormat, signal: CancelSignal) {
    this.#body = body;
    this.#format = format;
    this.#signal = signal;
    this.meter = new StreamMeter(request, format);
  }

  /** True once the upstream has sent the end of the stream. */
  get isDone(): boolean {
    return this.#doneAt !== undefined;
  }

  /** Error that the upstream sent; undefined if it sent none. `isFirst` if no event with data came before it. */
  get error(): { readonly words: UpstreamWords; readonly isFirst: boolean } | undefined {
    return this.#error;
  }

  /** True if the upstream gave a choice the finish reason `error`. */
  get hasFailedChoice(): boolean {
    return this.#hasFailedChoice;
  }

  /** Fault that ended the stream; undefined if none did. */
  get fault(): unknown {
    return this.#fault;
  }

  /**
   * True if the answer is complete: by its end, or because every requested choice has a finish reason. A connection that breaks off after
   * that does not make it incomplete.
   */
  get isWhole(): boolean {
    if (this.#error !== undefined || this.#hasFailedChoice || this.meter.isExhausted) return false;
    if (this.isDone) return true;
    return this.meter.isFinished && (!this.#hasTextAfterFinish || this.#hasEndedCleanly);
  }

  /**
   * Reads on. Resolves to the next events for the client, the end included but errors excluded; to undefined at the end of the stream.
   * Never rejects. Costs one promise for each piece that arrives: an asynchronous generator costs three.
   */
  async nextEvents(): Promise<readonly SseEvent[] | undefined> {
    try {
      while (!this.#isOver) {
        const next = await this.#nextChunk();
        if (next === undefined) return undefined;
        const events = next.done === true ? this.#rest() : this.#splitter.push(next.value);
        const visible = events.some(isLarge) ? await this.#absorbLarge(events) : this.#absorb(events);
        if (next.done === true) this.#end();
        if (visible.length > 0) return visible;
      }
    } catch (error) {
      this.#fail(error);
    }
    return undefined;
  }

  #end(): void {
    this.#isOver = true;
    this.#hasEndedCleanly = this.#fault === undefined;
  }

  /** Waits for a chunk, once the answer is complete for a short time only. @returns undefined after that */
  #nextChunk(): Promise<IteratorResult<Uint8Array> | undefined> {
    const until = this.#graceEnd();
    this.#chunks ??= this.#body[Symbol.asyncIterator]();
    return until === undefined ? this.#chunks.next() : this.#nextChunkUntil(until, this.#chunks);
  }

  async #nextChunkUntil(
    until: number,
    chunks: AsyncIterator<Uint8Array>,
  ): Promise<IteratorResult<Uint8Array> | undefined> {
    const waitMs = until - performance.now();
    if (waitMs <= 0) return undefined;
    const next = chunks.next();
    const timer = new AbortController();
    const elapsed = delay(waitMs, undefined, { signal: timer.signal }).catch(() => undefined);
    try {
      return await Promise.race([next, elapsed]);
    } finally {
      timer.abort();
      // A read that nobody waits for ends when the connection is closed.
      next.catch(() => {});
    }
  }

  /** Monotonic time at which the stream is over; undefined while choices are unfinished. */
  #graceEnd(): number | undefined {
    const isUsageKnown = this.meter.usage !== undefined;
    if (this.#doneAt !== undefined) return isUsageKnown ? 0 : this.#doneAt + END_GRACE_MS;
    if (!this.meter.isFinished) return undefined;
    this.#finishedAt ??= performance.now();
    return this.#finishedAt + (isUsageKnown ? END_GRACE_MS : FINISH_GRACE_MS);
  }

  /** Last event, without its blank line. It was truncated, and is not passed on, unless it is whole as JSON or the end. @throws JsonTooComplex */
  #rest(): readonly SseEvent[] {
    return this.#splitter.end().flatMap((event) => {
      const { raw, data } = event;
      if (data === undefined) return [];
      checkJson(data, MAX_ANSWER_VALUES);
      const isWhole = this.#format.endOf(event) !== undefined || isObject(parseJsonOrUndefined(data));
      return isWhole ? [{ ...event, raw: withBlankLine(raw) }] : [];
    });
  }

  /** Reads events, and checks their bounds: meter and guard may parse them. @returns those that the client is to get */
  #absorb(events: readonly SseEvent[]): readonly SseEvent[] {
    const visible: SseEvent[] = [];
    for (const event of events) {
      if (this.#isOver) break;
      try {
        if (!isLarge(event)) checkJson(event.data ?? "", MAX_ANSWER_VALUES);
      } catch (error) {
        this.#fail(error);
        break;
      }
      const passed = this.#absorbOne(event);
      if (passed !== undefined) visible.push(passed);
    }
    return visible;
  }

  /** Reads events of which some are large: their bounds are checked with pauses. */
  async #absorbLarge(events: readonly SseEvent[]): Promise<readonly SseEvent[]> {
    const visible: SseEvent[] = [];
    for (const event of events) {
      if (this.#isOver) break;
      try {
        if (isLarge(event)) await checkLargeJson(event.data ?? "", MAX_ANSWER_VALUES, this.#signal);
      } catch (error) {
        this.#fail(error);
        break;
      }
      visible.push(...this.#absorb([event]));
    }
    return visible;
  }

  #fail(fault: unknown): void {
    this.#fault = fault;
    this.#isOver = true;
  }

  /** Reads one event. @returns the event that the client is to get, if any */
  #absorbOne(event: SseEvent): SseEvent | undefined {
    const { data } = event;
    const { meter } = this;
    const format = this.#format;
    if (data === undefined) return this.isDone ? undefined : event;
    const isFirst = !this.#hasData;
    this.#hasData ||= !isKeepAlive(event);
    if (this.isDone) {
      if (meter.usage === undefined && format.isLateUsage(data)) meter.absorb(data);
      return undefined;
    }
    const end = format.endOf(event);
    if (end !== undefined) {
      meter.absorb(data);
      meter.end();
      this.#hasFailedChoice ||= format.hasFailed(data);
      this.#doneAt = performance.now();
      return end;
    }
    const words = format.errorOf(event);
    if (words !== undefined) {
      meter.absorb(data);
      this.#error = { words, isFirst };
      this.#isOver = true;
      return undefined;
    }
    const wasFinished = meter.isFinished;
    const isVisible = meter.absorb(data);
    if (wasFinished && meter.hasNewOutput) {
      this.#finishedAt = performance.now();
      this.#hasTextAfterFinish = true;
    }
    this.#hasFailedChoice ||= format.hasFailed(data);
    if (meter.isExhausted) this.#isOver = true;
    return isVisible && !meter.isExhausted ? event : undefined;
  }
}

/** True for an event whose bounds are checked with pauses. */
function isLarge({ data }: SseEvent): boolean {
  return data !== undefined && data.length > LARGE_JSON_CHARS;
}

function withBlankLine(raw: Buffer): Buffer {
  return /(?:\r\r|\n\n)$/.test(raw.subarray(-2).toString("latin1")) ? raw : Buffer.concat([raw, Buffer.from("\n\n")]);
}
