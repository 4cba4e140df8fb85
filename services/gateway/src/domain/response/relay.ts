/**
 * Relay of an upstream's answer, whole or streamed, to the client, and reading of the usage that it reports.
 *
 * An answer is what its bytes are, whatever it is labelled as and whatever was asked for: a whole answer to a request for a stream
 * leaves as chunks, a stream that nobody asked for as a whole answer, and an error with a status of success as an error.
 *
 * Memory is bounded: a whole answer and an event of a stream are at most 32 MiB; a stream is read no faster than the client
 * takes it. Faults of the upstream, cancellation and guardrails end in a result, never in an exception.
 */
import type { Reply } from "../ports/reply.ts";
import type { UpstreamAnswer } from "../ports/upstream.ts";
import { collectStart, recogniseBody } from "./answer-body.ts";
import { cancelReasonOf } from "./cancellation.ts";
import type { RelayContext } from "./relay-context.ts";
import { cancelledResult, refusedResult, type RelayResult } from "./relay-result.ts";
import { relayStream } from "./relay-stream.ts";
import { relayAssembled, relayWhole } from "./relay-whole.ts";
import { refusalOfUpstreamStatus } from "./upstream-refusal.ts";
import { describeWords } from "./upstream-words.ts";

const MAX_ERROR_BYTES = 256 * 1024;

/** Passes the upstream's answer on to the client, and reads the usage that it reports. Never throws. */
export async function relay(answer: UpstreamAnswer, context: RelayContext): Promise<RelayResult> {
  const { stream, reply } = context;
  const result = isSuccess(answer)
    ? await relaySuccess(answer, { ...context, retryAfter: answer.retryAfter })
    : await relayFailure(answer, reply);
  return stream === undefined ? result : stream.finish(result);
}

async function relaySuccess(answer: UpstreamAnswer, context: RelayContext): Promise<RelayResult> {
  const { contentType, whole } = answer;
  const { stream, format } = context;
  if (whole !== undefined) return relayWhole(whole, contentType, context);
  const { isStream, body } = await recogniseBody(answer.body, contentType, stream !== undefined);
  if (!isStream || format.stream === undefined) return relayWhole(body, contentType, context);
  if (stream === undefined) return relayAssembled(body, format.stream, context);
  return relayStream(body, stream, format.stream, context);
}

/** True if the status says that the upstream has done the work. */
export function isSuccess({ status }: UpstreamAnswer): boolean {
  return status >= 200 && status <= 299;
}

async function relayFailure(answer: UpstreamAnswer, reply: Reply): Promise<RelayResult> {
  const body = await collectStart(answer.body, MAX_ERROR_BYTES);
  if (reply.signal.aborted) {
    return { ...cancelledResult(cancelReasonOf(reply)), billable: false };
  }
  const { refusal, words } = refusalOfUpstreamStatus(answer, body);
  return { ...refusedResult(refusal), upstreamError: describeWords(words) };
}
