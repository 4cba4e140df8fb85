import type { CancelSignal } from "../ports/cancel-signal.ts";
import type { AnswerFailure, UpstreamAnswer } from "../ports/upstream.ts";
import { AnswerMeter } from "../metering/answer-meter.ts";
import { isObject, MAX_ANSWER_VALUES, parseJsonOrUndefined } from "../wire/json.ts";
import { type SseEvent, SseSplitter, withoutByteOrderMark } from "../wire/sse.ts";
import type { AnswerFormat } from "../wires/answer-format.ts";
import { replayed } from "./answer-body.ts";
import { errorOfAnswer } from "./answer-error.ts";
import { statusOfWords } from "./error-kinds.ts";
import { isKeepAlive } from "./keep-alive.ts";
import type { UpstreamWords } from "./upstream-words.ts";

/** Bytes that may be held back; an error is smaller. */
const MAX_HELD_BYTES = 64 * 1024;
/** Time for which bytes may be held back: less than the silence after which a client's stream has a heart-beat. */
const MAX_HELD_MS = 10_000;

export interface FailureSearch {
  /** Format of the answers of the upstream's wire. */
  readonly format: AnswerFormat;
  readonly signal: CancelSignal;
  /** 10 s by default. */
  readonly maxMs?: number;
}

/**
 * Searches an answer with a status of success for an error in its place: the first event of a stream but for those that keep the
 * connection alive, or a whole body. Holds back what it reads until then, for a bounded time and a bounded number of bytes; afterwards
 * the body has every byte as it came. Never throws: a fault of the body is left to its reader.
 *
 * An error with usage or output does not count: the upstream may bill for it.
 */
export async function withFailure(answer: UpstreamAnswer, search: FailureSearch): Promise<UpstreamAnswer> {
  const { status, whole, contentType } = answer;
  if (status < 200 || status > 299) return answer;
  if (whole !== undefined) return { ...answer, failure: failureOfWhole(whole, contentType, search.format) };
  const chunks = answer.body[Symbol.asyncIterator]();
  const read: Promise<IteratorResult<Uint8Array>>[] = [];
  const failure = await readFailure(chunks, read, contentType, search);
  return { ...answer, body: replayed(read, chunks), failure };
}

/** @param read reads of the body, to which each one is added */
async function readFailure(
  chunks: AsyncIterator<Uint8Array>,
  read: Promise<IteratorResult<Uint8Array>>[],
  contentType: string,
  { format, signal, maxMs = MAX_HELD_MS }: FailureSearch,
): Promise<AnswerFailure | undefined> {
  const stopped = Promise.withResolvers<undefined>();
  const stop = (): void => stopped.resolve(undefined);
  const timer = setTimeout(stop, maxMs);
  signal.addEventListener("abort", stop);
  const splitter = new SseSplitter(MAX_HELD_BYTES);
  const held: Uint8Array[] = [];
  let heldBytes = 0;
  try {
    while (heldBytes <= MAX_HELD_BYTES && !signal.aborted) {
      const next = chunks.next();
      read.push(next);
      // A fault is thrown again where the body is read.
      const result = await Promise.race([next.catch(() => undefined), stopped.promise]);
      if (result === undefined) return undefined;
      const first = (result.done === true ? splitter.end() : splitter.push(result.value)).find(hasData);
      if (first !== undefined) return failureOfEvent(first, format);
      if (result.done === true) return failureOfWhole(Buffer.concat(held), contentType, format);
      held.push(result.value);
      heldBytes += result.value.length;
    }
    return undefined;
  } catch {
    // An event that is larger than any error.
    return undefined;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}

function hasData(event: SseEvent): boolean {
  return !isKeepAlive(event);
}

function failureOfEvent(event: SseEvent, format: AnswerFormat): AnswerFailure | undefined {
  if ((event.data ?? "").length > MAX_HELD_BYTES) return undefined;
  const words = format.stream?.errorOf(event);
  return words && failureOf(words, parseJsonOrUndefined(event.data ?? "", MAX_ANSWER_VALUES), format);
}

/** Matches a body that may be an error, so that no other need be parsed for it. */
const MAY_BE_ERROR = /"(?:errors?|detail|success)"\s*:|"message"\s*:\s*"|"(?:object|type)"\s*:\s*"error"/;

function failureOfWhole(bytes: Buffer, contentType: string, format: AnswerFormat): AnswerFailure | undefined {
  if (bytes.length > MAX_HELD_BYTES) return undefined;
  const text = withoutByteOrderMark(bytes).toString("utf8");
  const json = MAY_BE_ERROR.test(text) ? parseJsonOrUndefined(text, MAX_ANSWER_VALUES) : undefined;
  const words = errorOfAnswer(json, contentType);
  return words && failureOf(words, json, format);
}

function failureOf(words: UpstreamWords, json: unknown, format: AnswerFormat): AnswerFailure | undefined {
  const status = statusOfWords(words);
  if (json === undefined || status === undefined || mayBeBilled(json, format)) return undefined;
  const { retryAfterSecs } = words;
  return { status, retryAfterMs: retryAfterSecs === undefined ? undefined : retryAfterSecs * 1_000 };
}

/** Members in which the answers of each wire have their output. */
const OUTPUTS = ["choices", "content", "output"];

/** True for an error that reports usage, or comes together with output. */
function mayBeBilled(json: unknown, format: AnswerFormat): boolean {
  if (!isObject(json)) return false;
  const answer = isObject(json["response"]) ? json["response"] : json;
  const meter = new AnswerMeter({ format, outputTokensMax: Number.MAX_SAFE_INTEGER, choices: 1 });
  meter.read(answer);
  const { promptTokens, completionTokens } = meter.reported ?? { promptTokens: 0, completionTokens: 0 };
  return promptTokens + completionTokens > 0 || (OUTPUTS.some((name) => name in answer) && meter.hasOutput);
}
