import type { Dropped } from "./dropped.ts";
import type { JsonObject } from "./json.ts";
import type { NeutralAnswer, NeutralRequest, PartEvent, Stop, StreamError, StreamEvent } from "./model.ts";
import type { Usage, WireEvent } from "./model.ts";
import type { WholeHead } from "./whole-head.ts";

/** Facts about the model that a translated request is sent to. */
export interface TranslationTarget {
  /** Id of the model at the upstream. */
  readonly model: string;
  /** Output bound to send, in tokens. */
  readonly outputTokensMax: number;
  /** Name of the output bound on the chat wire; `max_completion_tokens` by default. */
  readonly outputField?: "max_tokens" | "max_completion_tokens";
  /** True if a stream of the chat wire is asked for its usage. True by default. */
  readonly asksForUsage?: boolean;
  /** False for a model that is known not to reason: members about reasoning are then dropped. Unknown by default. */
  readonly reasons?: boolean;
}

/** Maximum number of parts of a stream that are open at the same time, because a reader stores state for each. */
export const MAX_OPEN_PARTS = 1_000;

/** Reader and writer of one wire. Only `readRequest` and `writeRequest` throw, and only `Untranslatable`. */
export interface WireCodec {
  readRequest(body: JsonObject, dropped: Dropped): NeutralRequest;
  writeRequest(request: NeutralRequest, target: TranslationTarget, dropped: Dropped): JsonObject;
  /** Reads an answer; unknown members are skipped. */
  readAnswer(answer: JsonObject): NeutralAnswer;
  writeAnswer(answer: NeutralAnswer & WholeHead): JsonObject;
  openStreamReader(): StreamReader;
  openStreamWriter(): WireStreamWriter;
}

export interface StreamReader {
  /** Reads an event; an unknown event gives no events. */
  read(event: WireEvent): readonly StreamEvent[];
  /** Called when the upstream's stream is over. Returns `end` if the stream was complete except for its last event. */
  finish(): readonly StreamEvent[];
}

/**
 * Writer of the events of one wire. `StreamWriter` calls it with the steps of a stream in their order: `start` comes first, and
 * nothing after `end`, `fail` or `breakOff`.
 */
export interface WireStreamWriter {
  /** Maximum number of parts of a stream, if all of them are kept until its end. */
  readonly partsMax?: number;
  /** @param usage counts that arrived before the start, as from a few upstreams */
  start(head: WholeHead, usage: Usage | undefined): readonly WireEvent[];
  /** Writes an event of a part. An event of a part that is not open is ignored. */
  part(event: PartEvent): readonly WireEvent[];
  end(state: StreamState): readonly WireEvent[];
  /** Ends the stream with an error. It can be called before `start` if no usage is known. */
  fail(error: StreamError, state: StreamState): readonly WireEvent[];
  /** Writes the usage of a stream that broke off, without a normal end. */
  breakOff(state: StreamState): readonly WireEvent[];
}

/** Facts from the events of a stream so far. */
export interface StreamState {
  readonly stop: Stop;
  readonly usage?: Usage | undefined;
  readonly serviceTier?: string | undefined;
}
