import type { MeteredUsage } from "../metering/answer-meter.ts";
import { upstreamFailed } from "../errors/refusal.ts";
import type { StreamFormat } from "../wires/answer-format.ts";
import { AnswerStream } from "./answer-stream.ts";
import { cancelReasonOf, refusalOfCancellation } from "./cancellation.ts";
import type { ClientStream } from "./client-stream.ts";
import { brokenAnswer, errorResult } from "./failed-answer.ts";
import { GuardedStream } from "./guarded-stream.ts";
import type { RelayContext } from "./relay-context.ts";
import { cancelledResult, chargedRefusalResult, type RelayResult } from "./relay-result.ts";

/** Passes a stream on to a client that asked for one. Never throws. */
export async function relayStream(
  body: AsyncIterable<Uint8Array>,
  client: ClientStream,
  format: StreamFormat,
  context: RelayContext,
): Promise<RelayResult> {
  const { reply, timings, guard, choices } = context;
  const answer = new AnswerStream(body, context, format, reply.signal);
  const guarded = new GuardedStream(client, guard && format.openGuard(guard, choices));
  let fault: unknown;
  try {
    for (let events = await answer.nextEvents(); events !== undefined; events = await answer.nextEvents()) {
      // A client that takes its pieces at once costs no promise.
      const passed = guarded.pass(events);
      if (passed !== undefined) await passed;
      if (answer.meter.hasBegun) timings.markOutput();
      // The client need not wait for the upstream, which may report its usage after the end, or hold the connection open.
      if (answer.isDone && guarded.refusal === undefined) await client.end();
    }
  } catch (error) {
    fault = error;
  }
  if (answer.meter.isExhausted && !answer.isDone) reply.cancel("reservation_exhausted");
  await guarded.flush();
  const { refusal } = guarded;
  if (refusal !== undefined) return chargedRefusalResult(refusal, answer.meter.metered);
  return resultOf(answer, fault ?? answer.fault, client, format, context);
}

/** Result of a stream that is over. It is complete once the upstream has sent its end, even if a connection failed afterwards. */
async function resultOf(
  answer: AnswerStream,
  fault: unknown,
  client: ClientStream,
  { end }: StreamFormat,
  context: RelayContext,
): Promise<RelayResult> {
  const { reply } = context;
  const metered = answer.meter.metered;
  if (reply.signal.aborted && !answer.isDone) return cancelled(cancelReasonOf(reply), metered);
  if (answer.isWhole) {
    await client.end(answer.isDone ? undefined : end.raw);
    return { ...metered, billable: true, httpStatus: 200, outcome: "succeeded", errorCode: "" };
  }
  if (answer.error === undefined) {
    const failed = upstreamFailed("upstream_error", "the upstream says that its answer failed");
    return chargedRefusalResult(answer.hasFailedChoice ? failed : brokenAnswer(fault), metered);
  }
  const { words, isFirst } = answer.error;
  try {
    return await errorResult(words, metered, context, !isFirst);
  } catch {
    return cancelled(cancelReasonOf(reply), metered);
  }
}

function cancelled(reason: ReturnType<typeof cancelReasonOf>, metered: MeteredUsage): RelayResult {
  if (reason === "client_gone") return { ...cancelledResult(reason), ...metered, httpStatus: 200 };
  return chargedRefusalResult(refusalOfCancellation(reason), metered);
}
