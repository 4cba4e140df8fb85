import { AnswerMeter, type MeteredRequest } from "../metering/answer-meter.ts";
import { StreamMeter } from "../metering/stream-meter.ts";
import type { MeteredTranslated } from "../ports/upstream.ts";
import type { JsonObject } from "../wire/json.ts";
import type { SseEvent } from "../wire/sse.ts";
import type { AnswerFormat } from "../wires/answer-format.ts";

/**
 * Meter of a translated answer, in the wire of its upstream. The translated answer does not show whether a count is zero or missing, and
 * has no place for every part that has a price.
 */
export class UpstreamMeter {
  readonly #request: MeteredRequest;
  #meter: AnswerMeter | StreamMeter | undefined;
  #hasFailed = false;

  /** @param outputTokensMax output bound that the upstream was sent */
  constructor(format: AnswerFormat, outputTokensMax: number) {
    this.#request = { format, outputTokensMax, choices: 1, wantsUsageChunk: true };
  }

  /** Result of the metering so far; undefined if no answer was read. */
  get metered(): MeteredTranslated | undefined {
    return this.#meter && { ...this.#meter.metered, hasFailed: this.#hasFailed };
  }

  /** Reads a whole answer. */
  readWhole(json: JsonObject): void {
    const meter = new AnswerMeter(this.#request);
    meter.read(json);
    meter.complete();
    this.#meter = meter;
    this.#hasFailed = this.#request.format.hasFailed(json);
  }

  /** Reads the next event of a stream, whose data is within the bounds of JSON. */
  readEvent(event: Pick<SseEvent, "data" | "name">): void {
    const { stream } = this.#request.format;
    if (stream === undefined) return;
    const meter = this.#meter instanceof StreamMeter ? this.#meter : new StreamMeter(this.#request, stream);
    this.#meter = meter;
    // Only usage comes after the end.
    if (meter.isDone && (meter.usage !== undefined || !stream.isLateUsage(event.data ?? ""))) return;
    meter.absorb(event.data);
    if (stream.endOf({ ...event, raw: NO_BYTES }) !== undefined) meter.end();
  }
}

const NO_BYTES = Buffer.alloc(0);
