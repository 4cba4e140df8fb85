import {
  type AnswerContext,
  type JsonObject,
  openStreamTranslation,
  parseExactly,
  translateAnswer,
  type WireEvent,
} from "@routeplane/protocols";
import type { UpstreamAnswer } from "../ports/upstream.ts";
import { collect, MAX_ANSWER_BYTES, recogniseBody } from "../response/answer-body.ts";
import { errorOfAnswer } from "../response/answer-error.ts";
import {
  checkJson,
  checkLargeJson,
  isObject,
  JsonTooComplex,
  LARGE_JSON_CHARS,
  MAX_ANSWER_VALUES,
} from "../wire/json.ts";
import { type SseEvent, SseSplitter } from "../wire/sse.ts";
import { withData } from "../wires/event-data.ts";
import { TRANSLATED_WIRES } from "../wires/wires.ts";
import { UpstreamMeter } from "./upstream-meter.ts";
import type { CancelSignal } from "../ports/cancel-signal.ts";
import type { Translation } from "./translated-request.ts";

/** Answer that is translated. */
export interface AnswerTranslation extends Translation {
  readonly context: AnswerContext;
  readonly streamed: boolean;
  /** Output bound that the upstream was sent. */
  readonly outputTokensMax: number;
  readonly signal: CancelSignal;
}

/** Translation, and the meter of what it reads. */
interface MeteredTranslation extends AnswerTranslation {
  readonly meter: UpstreamMeter;
}

/**
 * Translates an answer to the wire of its client: a whole one, or a stream event by event. A body that is not an answer, such as an error, keeps its
 * bytes: an error is read in any form, and rendered in the client's.
 */
export function translatedAnswer(answer: UpstreamAnswer, translation: AnswerTranslation): UpstreamAnswer {
  const { status, whole, contentType } = answer;
  if (status < 200 || status > 299) return answer;
  const { upstream, outputTokensMax } = translation;
  const meter = new UpstreamMeter(TRANSLATED_WIRES[upstream].answer, outputTokensMax);
  const metered = { ...translation, meter };
  const translated = whole === undefined ? undefined : translateSmall(whole, contentType, metered);
  return {
    ...answer,
    body: translated === undefined ? translatedBody(answer, metered) : onePiece(translated),
    whole: translated,
    metered: () => meter.metered,
    discard: () => answer.discard(),
  };
}

async function* onePiece(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function* translatedBody(answer: UpstreamAnswer, translation: MeteredTranslation): AsyncGenerator<Uint8Array> {
  const { streamed, signal } = translation;
  const { isStream, body } = await recogniseBody(answer.body, answer.contentType, streamed);
  if (isStream) return yield* translateStream(body, translation);
  const bytes = await collect(body, MAX_ANSWER_BYTES);
  yield (await isWithinBounds(bytes, signal)) ? translateWhole(bytes, answer.contentType, translation) : bytes;
}

/** Translates an answer that needs no pauses. @returns undefined if it does, or is beyond the bounds of JSON */
function translateSmall(bytes: Buffer, contentType: string, translation: MeteredTranslation): Buffer | undefined {
  if (bytes.length > LARGE_JSON_CHARS) return undefined;
  try {
    checkJson(bytes.toString("utf8"), MAX_ANSWER_VALUES);
  } catch {
    return undefined;
  }
  return translateWhole(bytes, contentType, translation);
}

/** Translates an answer within the bounds of JSON. */
function translateWhole(
  bytes: Buffer,
  contentType: string,
  { client, upstream, context, meter }: MeteredTranslation,
): Buffer {
  const text = bytes.toString("utf8");
  const json = parseOrUndefined(text);
  if (!isObject(json) || !isAnswer(json) || errorOfAnswer(json, contentType) !== undefined) return bytes;
  meter.readWhole(JSON.parse(text) as JsonObject);
  return Buffer.from(JSON.stringify(translateAnswer(upstream, client, json, context)));
}

/** Checks the bounds of an answer, with pauses. One beyond them keeps its bytes: the relay says why it is refused. */
async function isWithinBounds(bytes: Buffer, signal: CancelSignal): Promise<boolean> {
  try {
    await checkLargeJson(bytes.toString("utf8"), MAX_ANSWER_VALUES, signal);
    return true;
  } catch (error) {
    if (error instanceof JsonTooComplex) return false;
    throw error;
  }
}

/** True for an answer of any wire that is translated. */
function isAnswer(json: JsonObject): boolean {
  return ["choices", "content", "output"].some((name) => Array.isArray(json[name]));
}

/** Parses an answer within the bounds of JSON; undefined if it is none. */
function parseOrUndefined(text: string): unknown {
  try {
    return parseExactly(text);
  } catch {
    return undefined;
  }
}

/** Translates a stream up to its end or to an error of the upstream, which keeps its data. */
async function* translateStream(
  body: AsyncIterable<Uint8Array>,
  { client, upstream, context, signal, meter }: MeteredTranslation,
): AsyncGenerator<Uint8Array> {
  const splitter = new SseSplitter(MAX_ANSWER_BYTES);
  const stream = openStreamTranslation(upstream, client, context);
  const format = TRANSLATED_WIRES[upstream].answer.stream;
  let hasFailed = false;
  const translate = async (events: readonly SseEvent[]) => {
    const translated: WireEvent[] = [];
    for (const event of events) {
      const { data, name } = event;
      if (data === undefined || hasFailed) continue;
      if (data.length > LARGE_JSON_CHARS) await checkLargeJson(data, MAX_ANSWER_VALUES, signal);
      else checkJson(data, MAX_ANSWER_VALUES);
      meter.readEvent({ data, name });
      hasFailed = format?.errorOf(event) !== undefined;
      if (hasFailed) translated.push(...stream.breakOff(), { name: "error", data });
      else translated.push(...stream.push(name === undefined ? { data } : { name, data }));
    }
    return toBytes(translated);
  };
  for await (const chunk of body) {
    const bytes = await translate(splitter.push(chunk));
    if (bytes.length > 0) yield bytes;
    if (hasFailed) return;
  }
  const last = await translate(splitter.end());
  const rest = hasFailed ? last : Buffer.concat([last, toBytes(stream.end())]);
  if (rest.length > 0) yield rest;
}

function toBytes(events: readonly WireEvent[]): Buffer {
  return Buffer.concat(events.map(({ data, name }) => withData(data, name)));
}
