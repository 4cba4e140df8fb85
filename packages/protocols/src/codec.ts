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
  /** True, the default, if a stream of the chat wire is asked for its usage. */
  readonly asksForUsage?: boolean;
  /** False for a model that is known not to reason: what a request says about reasoning is then dropped. Unknown by default. */
  readonly reasons?: boolean;
}

/** Bound of the parts of a stream that are open at the same time, for which a reader keeps something. */
export const MAX_OPEN_PARTS = 1_000;

/** Reader and writer of one wire. Only `readRequest` and `writeRequest` throw, and only `Untranslatable`. */
export interface WireCodec {
  readRequest(body: JsonObject, dropped: Dropped): NeutralRequest;
  writeRequest(request: NeutralRequest, target: TranslationTarget, dropped: Dropped): JsonObject;
  /** Reads an answer; whatever it does not know is skipped. */
  readAnswer(answer: JsonObject): NeutralAnswer;
  writeAnswer(answer: NeutralAnswer & WholeHead): JsonObject;
  openStreamReader(): StreamReader;
  openStreamWriter(): WireStreamWriter;
}

export interface StreamReader {
  /** Reads an event; whatever it does not know gives none. */
  read(event: WireEvent): readonly StreamEvent[];
  /** Called when the upstream's stream is over. Gives `end` if it was whole but for its last event. */
  finish(): readonly StreamEvent[];
}

/**
 * Writer of the events of one wire. `StreamWriter` calls it with the steps of a stream in their order: `start` comes first, and
 * nothing after `end`, `fail` or `breakOff`.
 */
export interface WireStreamWriter {
  /** Bound of the parts of a stream, if all of them are kept until its end. */
  readonly partsMax?: number;
  /** @param usage counts that came before the start, as few upstreams tell them */
  start(head: WholeHead, usage: Usage | undefined): readonly WireEvent[];
  /** Writes an event of a part; one of a part that is not open gives nothing. */
  part(event: PartEvent): readonly WireEvent[];
  end(state: StreamState): readonly WireEvent[];
  /** Ends the stream with an error, which can come before its start unless the usage is known. */
  fail(error: StreamError, state: StreamState): readonly WireEvent[];
  /** Tells the usage of a stream that broke off, but no normal end. */
  breakOff(state: StreamState): readonly WireEvent[];
}

/** Facts that the events of a stream have told by now. */
export interface StreamState {
  readonly stop: Stop;
  readonly usage?: Usage | undefined;
  readonly serviceTier?: string | undefined;
}
