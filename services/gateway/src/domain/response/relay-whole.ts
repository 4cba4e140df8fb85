import { Refusal } from "../errors/refusal.ts";
import { guardJson } from "../guardrails/response-guard.ts";
import { hasOutput, isPlaceholder, readAnsweredBy, readUsage } from "../metering/usage.ts";
import { isObject, type JsonObject, MAX_ANSWER_VALUES, parseJsonOrUndefined, parseLargeJson } from "../wire/json.ts";
import { formatSse, type SseEvent, withoutByteOrderMark } from "../wire/sse.ts";
import { collect, MAX_ANSWER_BYTES } from "./answer-body.ts";
import { errorOfAnswer, hasFailedChoice } from "./answer-error.ts";
import { AnswerStream, DONE } from "./answer-stream.ts";
import { cancelReasonOf } from "./cancellation.ts";
import type { ClientStream } from "./client-stream.ts";
import { AssembledCompletion, chunksOf } from "./completion-chunks.ts";
import { brokenAnswer, errorResult, invalidAnswer } from "./failed-answer.ts";
import { GuardedStream } from "./guarded-stream.ts";
import type { RelayContext } from "./relay-context.ts";
import { cancelledResult, chargedRefusalResult, type RelayResult, type ReportedUsage } from "./relay-result.ts";
import { reportedUsageOf } from "./relay-stream.ts";

/** Passes a whole answer on, as chunks to a client that asked for a stream. Never throws. */
export async function relayWhole(
  body: AsyncIterable<Uint8Array>,
  contentType: string,
  context: RelayContext,
): Promise<RelayResult> {
  const { reply, guard } = context;
  let reported: ReportedUsage = { usage: undefined };
  try {
    const bytes = withoutByteOrderMark(await collect(body, MAX_ANSWER_BYTES));
    const { json, usage } = await readCompletion(bytes, reply.signal);
    reported = { usage, answeredBy: readAnsweredBy(json) };
    const words = errorOfAnswer(json, contentType);
    if (words !== undefined) return await errorResult(words, reported, guard, false);
    if (!isCompletion(json)) {
      return chargedRefusalResult(invalidAnswer("gave an answer that is not a chat completion"), reported);
    }
    return await passWhole(json, bytes, reported, context);
  } catch (error) {
    return faultResult(error, reported, context);
  }
}

/** Passes a stream that nobody asked for on, as the whole answer that its chunks make up. Never throws. */
export async function relayAssembled(body: AsyncIterable<Uint8Array>, context: RelayContext): Promise<RelayResult> {
  const { reply, guard } = context;
  const answer = new AnswerStream(body, context, reply.signal);
  const completion = new AssembledCompletion();
  let size = 0;
  try {
    for await (const events of answer.read()) {
      size += addAll(completion, events);
      if (size > MAX_ANSWER_BYTES) break;
    }
    const reported = reportedUsageOf(answer.meter);
    if (answer.meter.isExhausted && !answer.isDone) reply.cancel("reservation_exhausted");
    if (answer.error !== undefined)
      return await errorResult(answer.error.words, reported, guard, !answer.error.isFirst);
    if (size > MAX_ANSWER_BYTES)
      return chargedRefusalResult(invalidAnswer("gave an answer that is too large"), reported);
    if (!answer.isWhole || reply.signal.aborted) return faultResult(answer.fault, reported, context);
    const json = completion.toJson();
    return await passWhole(json, Buffer.from(JSON.stringify(json)), reported, context);
  } catch (error) {
    return faultResult(error, reportedUsageOf(answer.meter), context);
  }
}

/** Adds the chunks of events to a completion. @returns the bytes of the events */
function addAll(completion: AssembledCompletion, events: readonly SseEvent[]): number {
  for (const { data } of events) {
    const chunk = data === undefined ? undefined : parseJsonOrUndefined(data);
    if (isObject(chunk)) completion.add(chunk);
  }
  return events.reduce((sum, { raw }) => sum + raw.length, 0);
}

/** Passes a completion on, as bytes or as chunks. @throws the reason of the request's signal */
async function passWhole(
  json: JsonObject,
  bytes: Buffer,
  reported: ReportedUsage,
  context: RelayContext,
): Promise<RelayResult> {
  const { reply, guard, stream } = context;
  if (stream !== undefined) return passAsChunks(json, reported, stream, context);
  const passed = guard === undefined ? bytes : await guardJson(guard, bytes.toString("utf8"));
  if (passed instanceof Refusal) return chargedRefusalResult(passed, reported);
  const whole = typeof passed === "string" ? Buffer.from(passed) : passed;
  reply.begin(200, { "content-type": "application/json", "content-length": String(whole.length) });
  const isDelivered = await reply.end(whole);
  return isDelivered ? deliveredResult(json, reported) : cancelledAfter(reported);
}

async function passAsChunks(
  json: JsonObject,
  reported: ReportedUsage,
  client: ClientStream,
  { reply, guard, choices, wantsUsageChunk, timings }: RelayContext,
): Promise<RelayResult> {
  const guarded = new GuardedStream(client, guard, choices);
  const { usage } = json;
  for (const chunk of chunksOf(json, wantsUsageChunk && isObject(usage) ? usage : undefined)) {
    reply.signal.throwIfAborted();
    const data = JSON.stringify(chunk);
    await guarded.pass([{ raw: formatSse(data), data }]);
    timings.markOutput();
  }
  await guarded.pass([DONE]);
  if (guarded.refusal !== undefined) return chargedRefusalResult(guarded.refusal, reported);
  await client.end();
  return deliveredResult(json, reported);
}

function deliveredResult(json: JsonObject, reported: ReportedUsage): RelayResult {
  const delivered = { ...reported, billable: true, httpStatus: 200 };
  if (hasFailedChoice(json)) return { ...delivered, outcome: "failed", errorCode: "upstream_error" };
  return { ...delivered, outcome: "succeeded", errorCode: "" };
}

function cancelledAfter(reported: ReportedUsage): RelayResult {
  return { ...reported, outcome: "cancelled", billable: true, httpStatus: 200, errorCode: "client_gone" };
}

function faultResult(fault: unknown, reported: ReportedUsage, { reply }: RelayContext): RelayResult {
  if (reply.signal.aborted) return { ...cancelledResult(cancelReasonOf(reply), undefined, 0), ...reported };
  return chargedRefusalResult(brokenAnswer(fault), reported);
}

/**
 * Reads a whole answer and the usage in it, which is final.
 *
 * @returns the parsed JSON, undefined if the body is not JSON; and the usage, undefined if there is none or it is a placeholder
 * @throws JsonTooComplex; the reason of the signal once it is aborted
 */
async function readCompletion(body: Buffer, signal: AbortSignal) {
  const text = body.toString("utf8");
  const json = await parseLargeJson(text, MAX_ANSWER_VALUES, signal).catch(undefinedIfNotJson);
  const usage = readUsage(json);
  return { json, usage: usage && isPlaceholder(usage, hasOutput(text)) ? undefined : usage };
}

function undefinedIfNotJson(error: unknown): undefined {
  if (!(error instanceof SyntaxError)) throw error;
}

function isCompletion(json: unknown): json is JsonObject {
  return isObject(json) && Array.isArray(json["choices"]);
}
