import type { Dropped } from "./dropped.ts";
import type { JsonObject } from "./json.ts";
import type { NeutralAnswer, NeutralRequest, StreamEvent, WireEvent } from "./model.ts";

/** Facts about the model that a translated request is sent to. */
export interface TranslationTarget {
  /** Id of the model at the upstream. */
  readonly model: string;
  /** Output bound to send. */
  readonly outputTokensMax: number;
  /** Name of the output bound on the chat wire; `max_completion_tokens` by default. */
  readonly outputField?: "max_tokens" | "max_completion_tokens";
  /** True, the default, if a stream of the chat wire is asked for its usage. */
  readonly asksForUsage?: boolean;
  /** False for a model that is known not to reason: what a request says about reasoning is then dropped. Unknown by default. */
  readonly reasons?: boolean;
}

/** Facts that an answer can lack and the client's wire needs. */
export interface AnswerContext {
  /** Model that the answer names if the upstream names none. */
  readonly requestedModel?: string;
  /** Seconds since 1970 at which an answer was made whose upstream does not tell; the time of the call by default. */
  readonly createdAt?: number;
}

/** Bound of the parts of a stream that are open at the same time, for which a reader keeps something. */
export const MAX_OPEN_PARTS = 1_000;

/** Reader and writer of one wire. Only `readRequest` and `writeRequest` throw, and only `Untranslatable`. */
export interface WireCodec {
  readRequest(body: JsonObject, dropped: Dropped): NeutralRequest;
  writeRequest(request: NeutralRequest, target: TranslationTarget, dropped: Dropped): JsonObject;
  /** Reads an answer; whatever it does not know is skipped. */
  readAnswer(answer: JsonObject): NeutralAnswer;
  writeAnswer(answer: NeutralAnswer, context: AnswerContext): JsonObject;
  openStreamReader(): StreamReader;
  openStreamWriter(context: AnswerContext): StreamWriter;
}

export interface StreamReader {
  /** Reads an event; whatever it does not know gives none. */
  read(event: WireEvent): readonly StreamEvent[];
  /** Called when the upstream's stream is over. Gives `end` if it was whole but for its last event. */
  finish(): readonly StreamEvent[];
}

export interface StreamWriter {
  write(event: StreamEvent): readonly WireEvent[];
  /** Called last. Tells the usage of a stream that broke off, but no normal end. */
  finish(): readonly WireEvent[];
}
