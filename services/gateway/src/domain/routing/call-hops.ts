import type { Logger } from "@routeplane/runtime";
import type { OpenReservation } from "../metering/open-reservation.ts";
import type { CancelSignal } from "../ports/cancel-signal.ts";
import { type UpstreamAnswer, UpstreamFault } from "../ports/upstream.ts";
import type { RequestContext } from "../request-context.ts";
import { isBillable } from "../response/no-answer.ts";
import { attemptOutcomeOf } from "./attempt-outcome.ts";
import { AttemptPlan } from "./attempt-plan.ts";
import type { SendOptions } from "../request/upstream-calls.ts";
import type { RequestHop } from "./request-hops.ts";

/** Request that is sent to the first of its hops which answers. */
export interface HopCalls extends Pick<RequestContext, "facts" | "reply" | "timings"> {
  readonly reservation: Pick<OpenReservation, "grantedTo" | "markSent" | "markRefused" | "addFailedAttempt">;
  /** Hops that the reservation covers, in order. */
  readonly hops: readonly RequestHop[];
  readonly choices: number;
  readonly log: Logger;
}

/** Answer of a request, or the fault of its last attempt. */
export interface HopAnswer {
  readonly hop: RequestHop;
  readonly answer: PromiseSettledResult<UpstreamAnswer>;
  /** Output bound that the hop was sent. */
  readonly outputTokensMax: number;
}

/**
 * Calls the hops of a request, one at a time, until one answers, or until the outcome of an attempt is that of the request. The next
 * attempt is made only while nothing of an answer has been passed on, and only after an upstream that has certainly not worked
 * for the request, so at most one attempt is ever charged. An error that a stream begins with counts as the status that it stands for.
 * Never throws.
 */
export async function callHops(calls: HopCalls): Promise<HopAnswer> {
  const { facts, reply, timings, reservation, hops, choices, log } = calls;
  const { signal } = reply;
  const plan = new AttemptPlan(hops);
  let hop = plan.first();
  for (;;) {
    timings.markUpstreamCall();
    reservation.markSent(hop);
    plan.begin(hop);
    const { outputTokensMax } = reservation.grantedTo(hop);
    const answer = await outcomeOf(hop, Math.floor(outputTokensMax / choices), { signal, mayGoOn: plan.mayGoOn });
    if (!isBillable(answer)) reservation.markRefused();
    const outcome = attemptOutcomeOf(answer, signal.aborted, Date.now());
    const next = plan.end(outcome);
    if (next === undefined || signal.aborted) return { hop, answer, outputTokensMax };
    reservation.addFailedAttempt(outcome);
    const { requestId } = facts;
    const { provider, id: model } = hop.model;
    const { kind, status } = outcome;
    const nextModel = `${next.hop.model.provider}/${next.hop.model.id}`;
    log.warn({ requestId, provider, model, kind, status, next: nextModel }, "attempt failed; trying the next one");
    if (answer.status === "fulfilled") discard(answer.value, log);
    hop = next.hop;
    if (next.waitMs > 0) await wait(next.waitMs, signal);
    if (signal.aborted) return { hop, answer: CANCELLED_BEFORE_SENT, outputTokensMax };
  }
}

/** Outcome of a request that was cancelled between two attempts. */
const CANCELLED_BEFORE_SENT: PromiseRejectedResult = {
  status: "rejected",
  reason: new UpstreamFault("unreachable", "the request was cancelled before it was sent again"),
};

/** Outcome of a call, also of one that throws before it returns a promise. Never throws. */
async function outcomeOf(
  { send }: RequestHop,
  outputTokensMax: number,
  options: SendOptions,
): Promise<PromiseSettledResult<UpstreamAnswer>> {
  try {
    return { status: "fulfilled", value: await send(outputTokensMax, options) };
  } catch (reason) {
    return { status: "rejected", reason };
  }
}

/** Resolves after a time, or once the request is cancelled. */
async function wait(ms: number, signal: CancelSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const listener = (): void => resolve();
  signal.addEventListener("abort", listener);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", listener);
  }
}

/** Ends the connection of an answer that is not needed any more. A failure changes nothing about the request. */
export function discard(answer: UpstreamAnswer, log: Logger): void {
  try {
    answer.discard();
  } catch (error) {
    log.warn({ err: error }, "closing an upstream connection failed");
  }
}
