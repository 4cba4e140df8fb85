/**
 * Relay of an upstream's answer, whole or streamed, to the client, and reading of the usage that it reports.
 *
 * Memory is bounded: a whole answer is at most 32 MiB, an event of a stream 4 MiB; a stream is read no faster than the client
 * takes it. Faults of the upstream, cancellation and guardrails end in a result, never in an exception.
 */
import { toErrorEnvelope } from "../errors/error-envelope.ts";
import { Refusal, upstreamFailed } from "../errors/refusal.ts";
import { guardJson, type ResponseGuard } from "../guardrails/response-guard.ts";
import { StreamGuard } from "../guardrails/stream-guard.ts";
import { type MeteredRequest, StreamMeter } from "../metering/stream-meter.ts";
import type { Timings } from "../metering/timings.ts";
import {
  type AnsweredBy,
  hasOutput,
  isPlaceholder,
  readAnsweredBy,
  readUsage,
  type TokenUsage,
} from "../metering/usage.ts";
import type { CancelReason, Reply } from "../ports/reply.ts";
import { type UpstreamAnswer, UpstreamFault } from "../ports/upstream.ts";
import { checkJson, isObject, JsonTooComplex, MAX_ANSWER_VALUES, parseLargeJson } from "../wire/json.ts";
import { formatSse, type SseEvent, SseOverflow, SseSplitter } from "../wire/sse.ts";
import { cancelReasonOf, refusalOfCancellation } from "./cancellation.ts";
import { refusalOfUpstreamStatus } from "./upstream-refusal.ts";

/** Result of relaying an upstream's answer, before anything is charged for it. */
export interface RelayResult {
  readonly outcome: "succeeded" | "failed" | "cancelled";
  /** Final count of the upstream; undefined if it is not known. */
  readonly usage: TokenUsage | undefined;
  /** Lower bound of a usage that is not known: the count that the upstream had reported when the request was cancelled. */
  readonly reported?: TokenUsage | undefined;
  readonly answeredBy?: AnsweredBy;
  /** True if the request is charged even if its usage is not known: the upstream may have billed for it. */
  readonly billable: boolean;
  readonly httpStatus: number;
  readonly errorCode: string;
  /** Refusal that the client has still to be sent; only before the first byte. */
  readonly refusal?: Refusal;
  /** True if nothing went upstream. */
  readonly neverSent?: boolean;
}

/** The part of a result that decides its charge. */
type ReportedUsage = Pick<RelayResult, "usage" | "reported" | "answeredBy">;

/** Client's side of a relay, and the request that the answer is of. */
export interface RelayContext extends MeteredRequest {
  readonly streamed: boolean;
  readonly reply: Reply;
  /** Judges what may leave; undefined if every byte passes. */
  readonly guard: ResponseGuard | undefined;
  readonly timings: Pick<Timings, "markOutput">;
}

/** Bound of a whole answer, which is held in memory while it is checked. */
const MAX_ANSWER_BYTES = 32 * 1024 ** 2;
const MAX_ERROR_BYTES = 1024 ** 2;
const MAX_EVENT_BYTES = 4 * 1024 ** 2;

/** Passes the upstream's answer on to the client, and reads the usage that it reports. Never throws. */
export async function relay(answer: UpstreamAnswer, context: RelayContext): Promise<RelayResult> {
  const { streamed, reply } = context;
  if (!isSuccess(answer)) return relayFailure(answer, reply);
  const isStream = answer.contentType === "text/event-stream" || (streamed && answer.contentType === "");
  if (isStream && !streamed) {
    return chargedRefusalResult(invalidAnswer("answered with a stream where none was asked for"), undefined);
  }
  if (!isStream && streamed) return refuseWholeAnswer(answer, reply);
  return streamed ? relayStream(answer, context) : relayWhole(answer, context);
}

/** True if the status says that the upstream has done the work. */
export function isSuccess({ status }: UpstreamAnswer): boolean {
  return status >= 200 && status <= 299;
}

/** Result of a request that is refused without a charge: the upstream did not do the work. */
export function refusedResult(refusal: Refusal): RelayResult {
  const { status, code } = refusal;
  return { outcome: "failed", usage: undefined, billable: false, httpStatus: status, errorCode: code ?? "", refusal };
}

/** Result of a request that is refused and charged: the upstream may have done the work. */
function chargedRefusalResult(refusal: Refusal, usage: TokenUsage | undefined): RelayResult {
  return { ...refusedResult(refusal), usage, billable: true };
}

/** Result of a cancelled request. It is charged: the upstream was at work, and its bill is not known unless it reported one. */
export function cancelledResult(reason: CancelReason, usage: TokenUsage | undefined, httpStatus: number): RelayResult {
  const outcome = reason === "client_gone" ? "cancelled" : "failed";
  return { outcome, usage, billable: true, httpStatus, errorCode: reason, refusal: refusalOfCancellation(reason) };
}

/** Result of an answer that a guardrail blocks. A stream that has begun has had its error event, and keeps its status. */
function blockedResult(refusal: Refusal, reported: ReportedUsage, reply: Reply): RelayResult {
  const failed = { ...refusedResult(refusal), ...reported, billable: true };
  if (!reply.begun) return failed;
  const { refusal: _, ...sent } = failed;
  return { ...sent, httpStatus: 200 };
}

async function relayFailure(answer: UpstreamAnswer, reply: Reply): Promise<RelayResult> {
  const body = await collect(answer.body, MAX_ERROR_BYTES).catch(() => Buffer.alloc(0));
  if (reply.signal.aborted) {
    return { ...cancelledResult(cancelReasonOf(reply), undefined, answer.status), billable: false };
  }
  return refusedResult(refusalOfUpstreamStatus(answer, body));
}

/** Refuses a whole answer to a request for a stream. It is read only for the usage that it reports. */
async function refuseWholeAnswer(answer: UpstreamAnswer, reply: Reply): Promise<RelayResult> {
  const completion = await collect(answer.body, MAX_ANSWER_BYTES)
    .then((body) => readCompletion(body, reply.signal))
    .catch(() => undefined);
  const reported = { usage: completion?.usage, answeredBy: readAnsweredBy(completion?.json) };
  if (reply.signal.aborted) return { ...cancelledResult(cancelReasonOf(reply), undefined, 0), ...reported };
  return {
    ...chargedRefusalResult(invalidAnswer("answered with no stream where one was asked for"), undefined),
    ...reported,
  };
}

async function relayWhole(answer: UpstreamAnswer, { reply, guard }: RelayContext): Promise<RelayResult> {
  let reported: ReportedUsage = { usage: undefined };
  let passed: Buffer | string | Refusal;
  try {
    const body = await collect(answer.body, MAX_ANSWER_BYTES);
    const { json, usage } = await readCompletion(body, reply.signal);
    reported = { usage, answeredBy: readAnsweredBy(json) };
    if (!isCompletion(json)) {
      return {
        ...chargedRefusalResult(invalidAnswer("gave an answer that is not a chat completion"), usage),
        ...reported,
      };
    }
    passed = guard === undefined ? body : await guardJson(guard, body.toString("utf8"));
  } catch (error) {
    if (reply.signal.aborted) return { ...cancelledResult(cancelReasonOf(reply), undefined, 0), ...reported };
    return { ...chargedRefusalResult(brokenAnswer(error), undefined), ...reported };
  }
  if (passed instanceof Refusal) return blockedResult(passed, reported, reply);
  const bytes = typeof passed === "string" ? Buffer.from(passed) : passed;
  reply.begin(200, { "content-type": "application/json", "content-length": String(bytes.length) });
  const isDelivered = await reply.end(bytes);
  const outcome = isDelivered ? "succeeded" : "cancelled";
  return { ...reported, outcome, billable: true, httpStatus: 200, errorCode: isDelivered ? "" : "client_gone" };
}

async function relayStream(answer: UpstreamAnswer, context: RelayContext): Promise<RelayResult> {
  const { reply, timings } = context;
  const meter = new StreamMeter(context);
  const splitter = new SseSplitter(MAX_EVENT_BYTES);
  const guard = context.guard && new StreamGuard(context.guard, context.choices);
  const write = async (bytes: readonly Buffer[]): Promise<void> => {
    if (bytes.length === 0) return;
    if (!reply.begun) reply.begin(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
    await reply.write(Buffer.concat(bytes));
  };
  const pass = async (events: readonly SseEvent[]): Promise<void> => {
    const visible = meter.absorbAll(events);
    if (guard === undefined) await write(visible.map(({ raw }) => raw));
    else for (const event of visible) await write(await guard.pass(event));
    if (meter.hasBegun) timings.markOutput();
    await sendRefusal();
    if (!meter.isExhausted) return;
    reply.cancel("reservation_exhausted");
    throw new UpstreamFault("broken", "it went on beyond its output bound");
  };
  // The client gets the error at once. The upstream is still read to its end, because it reports its usage there.
  let isRefusalSent = false;
  const sendRefusal = async (): Promise<void> => {
    if (guard?.refusal === undefined || isRefusalSent || !reply.begun) return;
    isRefusalSent = true;
    await reply.end(errorEvent(guard.refusal));
  };
  let fault: unknown;
  try {
    for await (const chunk of answer.body) await pass(checked(splitter.push(chunk)));
    // An event without its blank line was truncated. It is not passed on, unless it is the end of the stream.
    const rest = checked(splitter.end());
    if (rest.some(({ data }) => data?.trim() === "[DONE]")) await pass(rest);
    else rest.forEach(({ data }) => meter.absorb(data));
  } catch (error) {
    fault = error;
  }
  if (guard !== undefined) await write(guard.flush()).catch(() => {});
  await sendRefusal();
  if (guard?.refusal !== undefined) return blockedResult(guard.refusal, reportedUsageOf(meter), reply);
  return endStream(reply, meter, fault);
}

/** Ends a stream. It is complete once the upstream has sent its end, even if a connection failed afterwards. */
async function endStream(reply: Reply, meter: StreamMeter, fault: unknown): Promise<RelayResult> {
  const ended = { ...reportedUsageOf(meter), billable: true, httpStatus: 200 };
  if (meter.isDone && !meter.hasFailed && !meter.isExhausted) {
    await reply.end();
    return { ...ended, outcome: "succeeded", errorCode: "" };
  }
  if (reply.signal.aborted && cancelReasonOf(reply) === "client_gone") {
    return { ...cancelledResult("client_gone", undefined, 200), ...reportedUsageOf(meter) };
  }
  const refusal = reply.signal.aborted ? refusalOfCancellation(cancelReasonOf(reply)) : brokenAnswer(fault);
  const errorCode = refusal.code ?? "";
  if (!reply.begun) return { ...ended, outcome: "failed", httpStatus: refusal.status, errorCode, refusal };
  await reply.end(meter.hasFailed ? undefined : errorEvent(refusal));
  return { ...ended, outcome: "failed", errorCode };
}

function reportedUsageOf({ usage, reported, answeredBy }: StreamMeter): ReportedUsage {
  return { usage, reported, answeredBy };
}

/** Event by which an OpenAI client learns that a stream that has begun will not be finished. */
function errorEvent(refusal: Refusal): Buffer {
  return formatSse(toErrorEnvelope(refusal));
}

export async function collect(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxBytes) throw new UpstreamFault("broken", `an answer of more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
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

/** Events whose data meter and guard may parse. @throws JsonTooComplex if the data of one is beyond the bounds */
function checked(events: readonly SseEvent[]): readonly SseEvent[] {
  for (const { data } of events) if (data !== undefined) checkJson(data, MAX_ANSWER_VALUES);
  return events;
}

function isCompletion(json: unknown): boolean {
  return isObject(json) && Array.isArray(json["choices"]);
}

function invalidAnswer(predicate: string): Refusal {
  return upstreamFailed("upstream_invalid_response", `the upstream ${predicate}`);
}

function brokenAnswer(fault: unknown): Refusal {
  if (fault instanceof UpstreamFault && fault.kind === "timeout") {
    return upstreamFailed("upstream_timeout", "the upstream stopped in the middle of its answer", fault);
  }
  if (fault instanceof JsonTooComplex) return invalidAnswer(`gave an answer that ${fault.message}`);
  if (fault instanceof SseOverflow) return invalidAnswer("sent an event that is too large");
  return upstreamFailed("upstream_error", "the upstream's answer broke off before it was complete", fault);
}
