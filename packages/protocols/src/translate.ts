import { chatCodec } from "./chat/codec.ts";
import type { TranslationTarget, WireCodec } from "./codec.ts";
import { Dropped } from "./dropped.ts";
import type { JsonObject } from "./json.ts";
import { messagesCodec } from "./messages/codec.ts";
import type { ProtocolWire, StreamEvent, WireEvent } from "./model.ts";
import { responsesCodec } from "./responses/codec.ts";
import { StreamWriter } from "./stream-writer.ts";
import { type AnswerContext, wholeHead, withCallId } from "./whole-head.ts";

const CODECS: Readonly<Record<ProtocolWire, WireCodec>> = {
  chat: chatCodec,
  messages: messagesCodec,
  responses: responsesCodec,
};

/** Request in another wire. */
export interface TranslatedRequest {
  readonly body: JsonObject;
  /** Members of the client's body that are left out because the client loses nothing, such as `messages[].name`. */
  readonly dropped: readonly string[];
}

/**
 * Translates a request. Numbers of a body that `parseExactly` read keep their digits.
 *
 * @param from the client's wire
 * @param to the upstream's wire
 * @throws Untranslatable for the first member that the upstream's wire cannot carry
 */
export function translateRequest(
  from: ProtocolWire,
  to: ProtocolWire,
  body: JsonObject,
  target: TranslationTarget,
): TranslatedRequest {
  const dropped = new Dropped();
  const request = CODECS[from].readRequest(body, dropped);
  return { body: CODECS[to].writeRequest(request, target, dropped), dropped: dropped.names };
}

/**
 * Translates a whole answer. Members that the reader of the upstream's wire does not know are left out.
 *
 * @param from the upstream's wire
 * @param to the client's wire
 */
export function translateAnswer(
  from: ProtocolWire,
  to: ProtocolWire,
  answer: JsonObject,
  context: AnswerContext = {},
): JsonObject {
  const read = wholeHead(CODECS[from].readAnswer(answer), context);
  const parts = read.parts.map((part, position) => withCallId(part, read.id, position));
  return CODECS[to].writeAnswer({ ...read, parts });
}

/** Translation of one stream, event by event. */
export interface StreamTranslation {
  /** Translates an event of the upstream to none, one or several of the client's wire. */
  push(event: WireEvent): readonly WireEvent[];
  /** Called once instead of `end` if the upstream sent an error that the caller renders. Writes only the known usage. */
  breakOff(): readonly WireEvent[];
  /**
   * Called once, at the end of the upstream's stream, normal or not. A stream that broke off gets no normal end, but the known usage, even
   * for a chat client that did not ask for usage.
   */
  end(): readonly WireEvent[];
}

/**
 * Opens the translation of a stream.
 *
 * @param from the upstream's wire
 * @param to the client's wire
 */
export function openStreamTranslation(
  from: ProtocolWire,
  to: ProtocolWire,
  context: AnswerContext = {},
): StreamTranslation {
  const reader = CODECS[from].openStreamReader();
  const writer = new StreamWriter(CODECS[to].openStreamWriter(), context);
  const write = (events: readonly StreamEvent[]) => events.flatMap((event) => writer.write(event));
  return {
    push: (event) => write(reader.read(event)),
    breakOff: () => writer.finish(),
    end: () => [...write(reader.finish()), ...writer.finish()],
  };
}
