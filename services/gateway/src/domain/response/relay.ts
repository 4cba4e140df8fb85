import { checkJson, JsonTooComplex, MAX_ANSWER_VALUES, parseLargeJson } from "../wire/bounded-json.ts";
import { isObject } from "../request/chat-request.ts";
import { cancelReasonOf, refusalOfCancellation } from "./cancellation.ts";
import type { CancelReason, Reply } from "../ports/reply.ts";
import { type UpstreamAnswer, UpstreamFault } from "../ports/upstream.ts";
import { toErrorEnvelope } from "../errors/error-envelope.ts";
import { Refusal, upstreamFailed } from "../errors/refusal.ts";
import { guardJson, type ResponseGuard } from "../guardrails/response-guard.ts";
import { formatSse, type SseEvent, SseOverflow, SseSplitter } from "../wire/sse.ts";
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
import { refusalOfUpstreamStatus } from "./upstream-refusal.ts";

/** How the upstream's answer went, before anything is charged for it. */
export interface RelayResult {
  readonly outcome: "succeeded" | "failed" | "cancelled";
  /** Final count of the upstream; undefined if it is not known. */
  readonly usage: TokenUsage | undefined;
  /** Lower bound of a usage that is not known: what the upstream had reported when it was cut. */
  readonly reported?: TokenUsage | undefined;
  readonly answeredBy?: AnsweredBy;
  /** Whether there is something to charge even if the usage is not known: the upstream may have billed for it. */
  readonly billable: boolean;
  readonly httpStatus: number;
  readonly errorCode: string;
  /** What the client is still to be told; only before the first byte. */
  readonly refusal?: Refusal;
  /** Set if nothing went upstream. */
  readonly neverSent?: boolean;
}

/** The part of an answer that decides what is charged for it. */
type ReportedUsage = Pick<RelayResult, "usage" | "reported" | "answeredBy">;

/** Held in memory while it is checked. */
const MAX_ANSWER_BYTES = 32 * 1024 ** 2;
const MAX_ERROR_BYTES = 1024 ** 2;
const MAX_EVENT_BYTES = 4 * 1024 ** 2;

/**
 * Passes the upstream's answer on to the client, and reads off what it used. Never throws.
 *
 * @param guard judges what may leave; undefined if all may
 * @param timings told of the first piece of output of a stream
 */
export async function relay(
  answer: UpstreamAnswer,
  reply: Reply,
  wants: MeteredRequest & { readonly streamed: boolean },
  guard: ResponseGuard | undefined,
  timings: Pick<Timings, "passedOn">,
): Promise<RelayResult> {
  if (!isSuccess(answer)) return relayFailure(answer, reply);
  const isStream = answer.contentType === "text/event-stream" || (wants.streamed && answer.contentType === "");
  if (isStream && !wants.streamed) {
    return wastedResult(invalidAnswer("answered with a stream where none was asked for"), undefined);
  }
  if (!isStream && wants.streamed) return relayInsteadOfStream(answer, reply);
  if (!wants.streamed) return relayWhole(answer, reply, guard);
  return relayStream(answer, reply, wants, guard, timings);
}

/** Whether the upstream says that it has done the work. */
export function isSuccess({ status }: UpstreamAnswer): boolean {
  return status >= 200 && status <= 299;
}

/** Nothing is charged: the upstream did not do the work. */
export function refusedResult(refusal: Refusal): RelayResult {
  const { status, code } = refusal;
  return { outcome: "failed", usage: undefined, billable: false, httpStatus: status, errorCode: code ?? "", refusal };
}

/** The upstream may have done the work, so that is charged, though the client does not get it. */
function wastedResult(refusal: Refusal, usage: TokenUsage | undefined): RelayResult {
  return { ...refusedResult(refusal), usage, billable: true };
}

/** The upstream was at work when the request was cut; what it bills for that is not known unless it said so. */
export function cancelledResult(reason: CancelReason, usage: TokenUsage | undefined, httpStatus: number): RelayResult {
  const outcome = reason === "client_gone" ? "cancelled" : "failed";
  return { outcome, usage, billable: true, httpStatus, errorCode: reason, refusal: refusalOfCancellation(reason) };
}

async function relayFailure(answer: UpstreamAnswer, reply: Reply): Promise<RelayResult> {
  const body = await collect(answer.body, MAX_ERROR_BYTES).catch(() => Buffer.alloc(0));
  if (reply.signal.aborted)
    return { ...cancelledResult(cancelReasonOf(reply), undefined, answer.status), billable: false };
  return refusedResult(refusalOfUpstreamStatus(answer, body));
}

function blockedResult(refusal: Refusal, counted: ReportedUsage, reply: Reply): RelayResult {
  const failed = { ...refusedResult(refusal), ...counted, billable: true };
  if (!reply.begun) return failed;
  const { refusal: _, ...told } = failed;
  return { ...told, httpStatus: 200 };
}

/** Read for what it says of its usage alone. */
async function relayInsteadOfStream(answer: UpstreamAnswer, reply: Reply): Promise<RelayResult> {
  const answered = await collect(answer.body, MAX_ANSWER_BYTES)
    .then((body) => read(body, reply.signal))
    .catch(() => undefined);
  const counted = { usage: answered?.usage, answeredBy: readAnsweredBy(answered?.answered) };
  if (reply.signal.aborted) return { ...cancelledResult(cancelReasonOf(reply), undefined, 0), ...counted };
  return { ...wastedResult(invalidAnswer("answered with no stream where one was asked for"), undefined), ...counted };
}

async function relayWhole(
  answer: UpstreamAnswer,
  reply: Reply,
  guard: ResponseGuard | undefined,
): Promise<RelayResult> {
  let counted: ReportedUsage = { usage: undefined };
  let passed: Buffer | string | Refusal;
  try {
    const body = await collect(answer.body, MAX_ANSWER_BYTES);
    const { answered, usage } = await read(body, reply.signal);
    counted = { usage, answeredBy: readAnsweredBy(answered) };
    if (!isCompletion(answered)) {
      return { ...wastedResult(invalidAnswer("gave an answer that is not a chat completion"), usage), ...counted };
    }
    passed = guard === undefined ? body : await guardJson(guard, body.toString("utf8"));
  } catch (error) {
    if (reply.signal.aborted) return { ...cancelledResult(cancelReasonOf(reply), undefined, 0), ...counted };
    return { ...wastedResult(brokenAnswer(error), undefined), ...counted };
  }
  if (passed instanceof Refusal) return blockedResult(passed, counted, reply);
  const bytes = typeof passed === "string" ? Buffer.from(passed) : passed;
  reply.begin(200, { "content-type": "application/json", "content-length": String(bytes.length) });
  const delivered = await reply.end(bytes);
  const outcome = delivered ? "succeeded" : "cancelled";
  return { ...counted, outcome, billable: true, httpStatus: 200, errorCode: delivered ? "" : "client_gone" };
}

async function relayStream(
  answer: UpstreamAnswer,
  reply: Reply,
  wants: MeteredRequest,
  responseGuard: ResponseGuard | undefined,
  timings: Pick<Timings, "passedOn">,
): Promise<RelayResult> {
  const meter = new StreamMeter(wants);
  const splitter = new SseSplitter(MAX_EVENT_BYTES);
  const guard = responseGuard && new StreamGuard(responseGuard, wants.choices);
  const write = async (bytes: readonly Buffer[]): Promise<void> => {
    if (bytes.length === 0) return;
    if (!reply.begun) reply.begin(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
    await reply.write(Buffer.concat(bytes));
  };
  const pass = async (events: readonly SseEvent[]): Promise<void> => {
    const kept = meter.absorbAll(events);
    if (guard === undefined) await write(kept.map(({ raw }) => raw));
    else for (const event of kept) await write(await guard.pass(event));
    if (meter.begun) timings.passedOn();
    await tell();
    if (!meter.exhausted) return;
    reply.cancel("reservation_exhausted");
    throw new UpstreamFault("broken", "it went on beyond its output bound");
  };
  // The client learns at once; the upstream is heard to its end all the same, because it says there what it charges.
  let told = false;
  const tell = async (): Promise<void> => {
    if (guard?.refusal === undefined || told || !reply.begun) return;
    told = true;
    await reply.end(errorEvent(guard.refusal));
  };
  let fault: unknown;
  try {
    for await (const chunk of answer.body) await pass(checked(splitter.push(chunk)));
    // What lacks its blank line was cut off, and is not passed on, unless it says that all is said.
    const rest = checked(splitter.end());
    if (rest.some(({ data }) => data?.trim() === "[DONE]")) await pass(rest);
    else rest.forEach(({ data }) => meter.absorb(data));
  } catch (error) {
    fault = error;
  }
  if (guard !== undefined) await write(guard.flush()).catch(() => {});
  await tell();
  if (guard?.refusal !== undefined) return blockedResult(guard.refusal, countOf(meter), reply);
  return endStream(reply, meter, fault);
}

/** A stream is whole once the upstream said so, whatever happened to a connection afterwards. */
async function endStream(reply: Reply, meter: StreamMeter, fault: unknown): Promise<RelayResult> {
  const ended = { ...countOf(meter), billable: true, httpStatus: 200 };
  if (meter.done && !meter.failed && !meter.exhausted) {
    await reply.end();
    return { ...ended, outcome: "succeeded", errorCode: "" };
  }
  if (reply.signal.aborted && cancelReasonOf(reply) === "client_gone") {
    return { ...cancelledResult("client_gone", undefined, 200), ...countOf(meter) };
  }
  const refusal = reply.signal.aborted ? refusalOfCancellation(cancelReasonOf(reply)) : brokenAnswer(fault);
  const errorCode = refusal.code ?? "";
  if (!reply.begun) return { ...ended, outcome: "failed", httpStatus: refusal.status, errorCode, refusal };
  await reply.end(meter.failed ? undefined : errorEvent(refusal));
  return { ...ended, outcome: "failed", errorCode };
}

function countOf({ usage, reported, answeredBy }: StreamMeter): ReportedUsage {
  return { usage, reported, answeredBy };
}

/** How an OpenAI client learns that a stream that has begun will not be finished. */
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

/** A whole answer and the usage in it, which is final. @throws as `parse` */
async function read(body: Buffer, signal: AbortSignal) {
  const text = body.toString("utf8");
  const answered = await parse(text, signal);
  const usage = readUsage(answered);
  return { answered, usage: usage && isPlaceholder(usage, hasOutput(text)) ? undefined : usage };
}

/** @returns undefined if it is no JSON. @throws JsonTooComplex; the reason of the signal once it is aborted */
async function parse(text: string, signal: AbortSignal): Promise<unknown> {
  try {
    return await parseLargeJson(text, MAX_ANSWER_VALUES, signal);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** @throws JsonTooComplex if the data of an event is beyond the bounds: neither meter nor guard must parse it */
function checked(events: readonly SseEvent[]): readonly SseEvent[] {
  for (const { data } of events) if (data !== undefined) checkJson(data, MAX_ANSWER_VALUES);
  return events;
}

function isCompletion(answered: unknown): boolean {
  return isObject(answered) && Array.isArray(answered["choices"]);
}

function invalidAnswer(what: string): Refusal {
  return upstreamFailed("upstream_invalid_response", `the upstream ${what}`);
}

function brokenAnswer(fault: unknown): Refusal {
  if (fault instanceof UpstreamFault && fault.kind === "timeout") {
    return upstreamFailed("upstream_timeout", "the upstream stopped in the middle of its answer", fault);
  }
  if (fault instanceof JsonTooComplex) return invalidAnswer(`gave an answer that ${fault.message}`);
  if (fault instanceof SseOverflow) return invalidAnswer("sent an event that is too large");
  return upstreamFailed("upstream_error", "the upstream's answer broke off before it was complete", fault);
}
