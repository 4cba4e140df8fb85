import type { Refusal } from "../errors/refusal.ts";
import type { ResponseGuard } from "../guardrails/response-guard.ts";
import type { OutputText } from "../metering/output-text.ts";
import type { UpstreamWords } from "../response/upstream-words.ts";
import type { JsonObject } from "../wire/json.ts";
import type { SseEvent } from "../wire/sse.ts";

/** Guard of the events of one streamed answer. */
export interface StreamGuard {
  /** Refusal after which nothing leaves; undefined as long as the stream passes. */
  readonly refusal: Refusal | undefined;
  /**
   * Judges an event.
   *
   * @returns the bytes that may leave before the event and of it; none once the stream is refused
   * @throws the reason of the request's signal; nothing leaves after that
   */
  pass(event: SseEvent): Promise<Buffer[]>;
  /** Ends the stream, complete or not. @returns the held text that may leave */
  flush(): Buffer[];
}

/** Whole answer that is made of the events of a stream. */
export interface AnswerAssembly {
  add(chunk: JsonObject): void;
  toJson(): JsonObject;
}

/** Format of the streamed answers of a wire. */
export interface StreamFormat {
  /** Event that the client gets for one by which an upstream ends its stream; undefined for any other event. */
  endOf(event: SseEvent): SseEvent | undefined;
  /** Event that ends a stream which is whole although its upstream sent no end. */
  readonly end: SseEvent;
  /** Error that an event is or holds; undefined if it is none. @param event whose data is within the bounds of JSON */
  errorOf(event: SseEvent): UpstreamWords | undefined;
  /** Choices that a chunk finishes; undefined if it is not a chunk of an answer. */
  finishedBy(chunk: JsonObject): readonly number[] | undefined;
  /** True if an answer goes on after this chunk of it. */
  isUnfinished(chunk: JsonObject): boolean;
  /** True for a chunk that has nothing but the usage, which only the gateway may have asked for. */
  isUsageOnly(chunk: JsonObject): boolean;
  /** True if data after the end reports usage. */
  isLateUsage(data: string): boolean;
  /** True if data says that the answer, or a choice of it, has failed. */
  hasFailed(data: string): boolean;
  /** @param choices number of requested choices */
  openGuard(responseGuard: ResponseGuard, choices: number): StreamGuard;
  /** Events of a whole answer, as its upstream would have streamed it, but for the end. @param usage usage to report; undefined for none */
  eventsOf(answer: JsonObject, usage: JsonObject | undefined): Iterable<SseEvent>;
  assemble(): AnswerAssembly;
}

/** Format of the answers of a wire. */
export interface AnswerFormat {
  /** Name of an answer, e.g. `a chat completion`. */
  readonly noun: string;
  /** True if an answer costs nothing, whatever the price of a request, and uses no tokens; false if undefined. */
  readonly isFree?: boolean;
  /** True for a whole answer. */
  isAnswer(json: JsonObject): boolean;
  /** True if an answer says that it, or a choice of it, has failed. */
  hasFailed(answer: JsonObject): boolean;
  /** Counts the output of an answer or a chunk. @param choices number of requested choices @returns true if there is any */
  addOutput(text: OutputText, answer: JsonObject, choices: number): boolean;
  /** Undefined if answers are never streamed. */
  readonly stream: StreamFormat | undefined;
}
