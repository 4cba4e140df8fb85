import { Refusal } from "../errors/refusal.ts";
import { guardJson } from "../guardrails/response-guard.ts";
import { AnswerMeter, type MeteredUsage } from "../metering/answer-meter.ts";
import {
  isObject,
  type JsonObject,
  LARGE_JSON_CHARS,
  MAX_ANSWER_VALUES,
  parseJson,
  parseJsonOrUndefined,
  parseLargeJson,
} from "../wire/json.ts";
import { type SseEvent, withoutByteOrderMark } from "../wire/sse.ts";
import type { AnswerAssembly, StreamFormat } from "../wires/answer-format.ts";
import { collect, MAX_ANSWER_BYTES } from "./answer-body.ts";
import type { CancelReason, Reply } from "../ports/reply.ts";
import { errorOfAnswer } from "./answer-error.ts";
import { AnswerStream } from "./answer-stream.ts";
import { cancelReasonOf } from "./cancellation.ts";
import type { ClientStream } from "./client-stream.ts";
import { brokenAnswer, errorResult, invalidAnswer } from "./failed-answer.ts";
import { GuardedStream } from "./guarded-stream.ts";
import type { RelayContext } from "./relay-context.ts";
import { cancelledResult, chargedRefusalResult, type RelayResult } from "./relay-result.ts";

/** Passes a whole answer on, as events to a client that asked for a stream. Never throws. */
export async function relayWhole(
  body: Buffer | AsyncIterable<Uint8Array>,
  contentType: string,
  context: RelayContext,
): Promise<RelayResult> {
  let metered = NOT_METERED;
  try {
    const bytes = withoutByteOrderMark(Buffer.isBuffer(body) ? body : await collect(body, MAX_ANSWER_BYTES));
    const text = bytes.toString("utf8");
    const read = readCompletion(text, context);
    const completion = read instanceof Promise ? await read : read;
    const { json } = completion;
    ({ metered } = completion);
    const words = errorOfAnswer(json, contentType);
    if (words !== undefined) return await errorResult(words, metered, context, false);
    if (!isObject(json) || !context.format.isAnswer(json)) {
      return chargedRefusalResult(invalidAnswer(`gave an answer that is not ${context.format.noun}`), metered);
    }
    return await passWhole(json, { bytes, text }, metered, context);
  } catch (error) {
    return faultResult(error, metered, context);
  }
}

/** Passes on a stream that was not asked for, as the whole answer that its chunks make up. Never throws. */
export async function relayAssembled(
  body: AsyncIterable<Uint8Array>,
  format: StreamFormat,
  context: RelayContext,
): Promise<RelayResult> {
  const { reply } = context;
  const answer = new AnswerStream(body, { ...context, wantsUsageChunk: true }, format, reply.signal);
  const completion = format.assemble();
  let size = 0;
  try {
    for (let events = await answer.nextEvents(); events !== undefined; events = await answer.nextEvents()) {
      size += addAll(completion, events);
      if (size > MAX_ANSWER_BYTES) break;
    }
    const metered = answer.meter.metered;
    if (answer.meter.isExhausted && !answer.isDone) reply.cancel("reservation_exhausted");
    if (answer.error !== undefined)
      return await errorResult(answer.error.words, metered, context, !answer.error.isFirst);
    if (size > MAX_ANSWER_BYTES)
      return chargedRefusalResult(invalidAnswer("gave an answer that is too large"), metered);
    if (!answer.isWhole || reply.signal.aborted) return faultResult(answer.fault, metered, context);
    const json = completion.toJson();
    const text = JSON.stringify(json);
    return await passWhole(json, { bytes: Buffer.from(text), text }, metered, context);
  } catch (error) {
    return faultResult(error, answer.meter.metered, context);
  }
}

/** Adds the chunks of events to an answer. @returns the bytes of the events */
function addAll(completion: AnswerAssembly, events: readonly SseEvent[]): number {
  for (const { data } of events) {
    const chunk = data === undefined ? undefined : parseJsonOrUndefined(data);
    if (isObject(chunk)) completion.add(chunk);
  }
  return events.reduce((sum, { raw }) => sum + raw.length, 0);
}

/** Completion as it is written. */
interface WrittenCompletion {
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** Passes an answer on, as bytes or as events. @throws the reason of the request's signal */
async function passWhole(
  json: JsonObject,
  { bytes, text }: WrittenCompletion,
  metered: MeteredUsage,
  context: RelayContext,
): Promise<RelayResult> {
  const { reply, guard, stream, format } = context;
  if (stream !== undefined && format.stream !== undefined)
    return passAsEvents(json, metered, { client: stream, format: format.stream }, context);
  const guarded = guard === undefined ? text : guardJson(guard, text);
  const passed = guarded instanceof Promise ? await guarded : guarded;
  if (passed instanceof Refusal) return chargedRefusalResult(passed, metered);
  const whole = passed === text ? bytes : Buffer.from(passed);
  reply.begin(200, { "content-type": "application/json", "content-length": String(whole.length) });
  const ended = reply.end(whole);
  const isDelivered = ended instanceof Promise ? await ended : ended;
  return isDelivered ? deliveredResult(json, metered, context) : brokenOffResult(metered, reply);
}

async function passAsEvents(
  json: JsonObject,
  metered: MeteredUsage,
  { client, format }: { readonly client: ClientStream; readonly format: StreamFormat },
  context: RelayContext,
): Promise<RelayResult> {
  const { reply, guard, choices, wantsUsageChunk, timings } = context;
  const guarded = new GuardedStream(client, guard && format.openGuard(guard, choices));
  const { usage } = json;
  for (const event of format.eventsOf(json, wantsUsageChunk && isObject(usage) ? usage : undefined)) {
    reply.signal.throwIfAborted();
    await guarded.pass([event]);
    timings.markOutput();
  }
  await guarded.pass([format.end]);
  if (guarded.refusal !== undefined) return chargedRefusalResult(guarded.refusal, metered);
  await client.end();
  return deliveredResult(json, metered, context);
}

function deliveredResult(
  json: JsonObject,
  metered: MeteredUsage,
  { format }: Pick<RelayContext, "format">,
): RelayResult {
  const delivered = { ...metered, billable: true, httpStatus: 200 };
  if (format.hasFailed(json)) return { ...delivered, outcome: "failed", errorCode: "upstream_error" };
  return { ...delivered, outcome: "succeeded", errorCode: "" };
}

/** Result of an answer that its client has a part of, or has not read in time. No refusal can be sent any more. */
function brokenOffResult(metered: MeteredUsage, { signal }: Pick<Reply, "signal">): RelayResult {
  const reason = signal.aborted ? (signal.reason as CancelReason) : "client_gone";
  const { outcome, errorCode } = cancelledResult(reason);
  return { ...metered, outcome, billable: true, httpStatus: 200, errorCode };
}

function faultResult(fault: unknown, metered: MeteredUsage, { reply }: RelayContext): RelayResult {
  if (reply.signal.aborted) return { ...cancelledResult(cancelReasonOf(reply)), ...metered };
  return chargedRefusalResult(brokenAnswer(fault), metered);
}

/**
 * Reads a whole answer and what it used.
 *
 * @returns the parsed JSON, undefined if the body is not JSON; a promise where that takes pauses
 * @throws JsonTooComplex; the reason of the signal once it is aborted
 */
function readCompletion(text: string, context: RelayContext): ReadCompletion | Promise<ReadCompletion> {
  if (text.length <= LARGE_JSON_CHARS) return meterCompletion(parseOrUndefined(text), context);
  return parseLargeJson(text, MAX_ANSWER_VALUES, context.reply.signal)
    .catch(undefinedIfNotJson)
    .then((json) => meterCompletion(json, context));
}

interface ReadCompletion {
  readonly json: unknown;
  readonly metered: MeteredUsage;
}

function meterCompletion(json: unknown, context: RelayContext): ReadCompletion {
  if (!isObject(json)) return { json, metered: NOT_METERED };
  const meter = new AnswerMeter(context);
  meter.read(json);
  meter.complete();
  return { json, metered: meter.metered };
}

/** @throws JsonTooComplex */
function parseOrUndefined(text: string): unknown {
  try {
    return parseJson(text, MAX_ANSWER_VALUES);
  } catch (error) {
    return undefinedIfNotJson(error);
  }
}

const NOT_METERED: MeteredUsage = { usage: undefined };

function undefinedIfNotJson(error: unknown): undefined {
  if (!(error instanceof SyntaxError)) throw error;
}
