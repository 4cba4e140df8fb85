import type { Clock, Id } from "@routeplane/domain";
import type { Logger } from "@routeplane/runtime";
import { type ChatRequest, parseChatRequest, prepareUpstreamBody } from "./request/chat-request.ts";
import { authenticate, authorise, type CredentialHeaders, INFERENCE_SCOPE } from "./request/credential.ts";
import { cancelReasonOf, cancelUnlessPermitted, refusalOfCancellation } from "./response/cancellation.ts";
import { DecisionLog } from "./guardrails/decision-log.ts";
import type { DenialRecorder } from "./metering/denial-recorder.ts";
import type { Guard } from "./guardrails/guard.ts";
import { parseIdempotencyKey } from "./request/idempotency-key.ts";
import { type Model, type ModelDirectory, resolveModel } from "./request/model-directory.ts";
import { JudgingMeter } from "./guardrails/judging-meter.ts";
import { applyMemberRules, surchargesOfTier, withSurcharges } from "./request/member-rules.ts";
import { isBillable, noAnswerResult, notRecordedResult } from "./response/no-answer.ts";
import { OpenReservation } from "./metering/open-reservation.ts";
import type { Admissions } from "./ports/admissions.ts";
import type { CallingKey, SubscribeToKey } from "./ports/key-verifier.ts";
import type { Reply } from "./ports/reply.ts";
import type { RequestFacts, UsageLog } from "./ports/usage-log.ts";
import type { Upstream, UpstreamAnswer } from "./ports/upstream.ts";
import { Refusal } from "./errors/refusal.ts";
import { cancelledResult, relay, type RelayResult } from "./response/relay.ts";
import { type GuardedRequest, guardRequest, type Judging } from "./guardrails/request-guard.ts";
import { type ResponseGuard, responseGuardOf } from "./guardrails/response-guard.ts";
import type { Settlements } from "./metering/settlements.ts";
import { Timings } from "./metering/timings.ts";
import type { AnsweredBy } from "./metering/usage.ts";
import type { TokenBounds } from "./request/token-bounds.ts";

/**
 * The hot path: the only way to an upstream, and the only holder of the upstreams. Every request that is admitted is
 * settled exactly once, whatever happens to it, and whatever kills this process. Costs one call to policy, two short writes
 * to the disk and one batched publish, which runs beside the upstream call; and one call to auth if the key is not warm.
 * Refuses when auth or policy does not answer within 2 s, when the spool is full or, if the operator chose so, when NATS is
 * away: nothing fails open. A request whose key is refused while it runs is cut.
 */
export type Serve = (call: InferenceCall) => Promise<void>;

/** One inference request, as the wire handed it over. */
export interface InferenceCall {
  readonly requestId: Id<"req">;
  readonly receivedAt: Date;
  readonly endpoint: string;
  readonly credential: CredentialHeaders;
  /** The header `Idempotency-Key`; undefined: there is none. */
  readonly idempotencyKey: string | undefined;
  /** @throws Refusal 413, or 503 if bodies take too much already, of all callers or of this one */
  readBody(caller: CallingKey): Promise<Uint8Array>;
  readonly reply: Reply;
}

export interface PipelineDependencies {
  readonly subscribeToKey: SubscribeToKey;
  readonly directory: ModelDirectory;
  /** What applies to a key. @throws DomainError UNAVAILABLE if that is not known */
  readonly guardOf: (caller: CallingKey) => Promise<Guard>;
  readonly admissions: Admissions;
  readonly usageLog: UsageLog;
  readonly settlements: Settlements;
  readonly denialRecorder: DenialRecorder;
  /** By name of the provider. */
  readonly upstreams: ReadonlyMap<string, Upstream>;
  readonly log: Logger;
  readonly clock: Clock;
  /** Less than a hold lives, so that a request never outlives its reservation. 10 min by default. */
  readonly totalTimeoutMs?: number;
  /** One of its own by default. */
  readonly meter?: JudgingMeter;
}

const TOTAL_TIMEOUT_MS = 10 * 60_000;

/** @returns a function that throws a Refusal, or a DomainError of a dependency, if the client has been told nothing yet */
export function createPipeline(dependencies: PipelineDependencies): Serve {
  const { subscribeToKey, directory, guardOf, meter = new JudgingMeter() } = dependencies;
  return async (call) => {
    const timings = new Timings();
    const subscribe = (token: string) => subscribeToKey(token, (outcome) => cancelUnlessPermitted(call.reply, outcome));
    const { principal, release } = await authenticate(call.credential, subscribe);
    try {
      await serve(call, authorise(principal, INFERENCE_SCOPE), timings);
    } catch (error) {
      if (call.reply.signal.aborted && !(error instanceof Refusal))
        throw refusalOfCancellation(cancelReasonOf(call.reply));
      throw error;
    } finally {
      release();
    }
  };

  async function serve(call: InferenceCall, caller: CallingKey, timings: Timings): Promise<void> {
    const { reply } = call;
    const idempotencyKey = parseIdempotencyKey(call.idempotencyKey);
    const asked = await parseChatRequest(await call.readBody(caller), reply.signal);
    const resolved = resolveModel(directory, asked.model);
    const surcharges = applyMemberRules(asked, resolved.memberRules);
    const model = withSurcharges(resolved, surcharges);
    const billedModelFor = ({ model: answered = resolved.id, serviceTier }: AnsweredBy): Model =>
      withSurcharges(
        directory.findBilled(resolved, answered),
        surchargesOfTier(surcharges, resolved.memberRules, serviceTier),
      );
    const upstream = upstreamOf(dependencies, model);
    const facts = factsOf(call, caller, asked, model);
    const guard = await guardOf(caller);
    const decisions = new DecisionLog(guard);
    const share = meter.shareOf(caller);
    const judging = { guard, asked, model, upstream, decisions, signal: reply.signal, share };
    const { request, bounds } = await judge(dependencies, facts, caller, judging);
    // All that can fail without anything being reserved comes before the reservation.
    const bodyFor = prepareUpstreamBody(request, { model: model.id, outputField: model.outputField });
    const responseGuard = await responseGuardOf(guard, decisions, reply.signal, share.unstopped);
    const reserving = { facts, caller, model, billedModelFor, reply, decisions, timings };
    const reservation = new OpenReservation(dependencies, reserving);
    try {
      const granted = await reservation.admit({ ...bounds, choices: request.choices, idempotencyKey });
      const sending = { upstream, reply, request, bodyFor, granted, responseGuard, timings };
      const relayed = await forward(dependencies, reservation, sending);
      reservation.settle(relayed);
      if (relayed.refusal !== undefined) throw relayed.refusal;
    } finally {
      reservation.close();
    }
  }
}

function upstreamOf({ upstreams }: PipelineDependencies, { provider }: Model): Upstream {
  const upstream = upstreams.get(provider);
  if (upstream === undefined) throw new Error(`the provider ${provider} has no upstream`);
  return upstream;
}

function factsOf(call: InferenceCall, caller: CallingKey, request: ChatRequest, model: Model): RequestFacts {
  const { requestId, receivedAt, endpoint } = call;
  const { keyId, namespaceId } = caller;
  const { streamed } = request;
  return {
    requestId,
    namespaceId,
    keyId,
    createdAt: receivedAt,
    endpoint,
    model: model.id,
    provider: model.provider,
    streamed,
  };
}

/** Judges a request by the guardrails of its key. @throws Refusal; a denial is recorded */
async function judge(
  { denialRecorder }: PipelineDependencies,
  facts: RequestFacts,
  caller: CallingKey,
  judging: Judging,
): Promise<GuardedRequest> {
  try {
    return await guardRequest(judging);
  } catch (error) {
    if (error instanceof Refusal && error.denial !== undefined) {
      denialRecorder.record({ facts, caller, refusal: error, denial: error.denial, decisions: judging.decisions });
    }
    throw error;
  }
}

/** What is sent where, and what may come back of it. */
interface Sending {
  readonly upstream: Upstream;
  readonly reply: Reply;
  readonly request: ChatRequest;
  readonly bodyFor: (outputTokensMax: number) => string | Uint8Array;
  readonly granted: TokenBounds;
  readonly responseGuard: ResponseGuard | undefined;
  readonly timings: Timings;
}

/**
 * Records the admission, then sends the request upstream while the record is made durable, and lets no byte out before it is.
 * What it throws is a fault of the gateway.
 */
async function forward(
  { log, totalTimeoutMs = TOTAL_TIMEOUT_MS }: PipelineDependencies,
  reservation: OpenReservation,
  sending: Sending,
): Promise<RelayResult> {
  const { upstream, reply, request, bodyFor, granted, timings } = sending;
  if (reply.signal.aborted)
    return { ...cancelledResult(cancelReasonOf(reply), undefined, 0), billable: false, neverSent: true };
  let recorded: Promise<void>;
  try {
    recorded = reservation.recordAdmission();
  } catch (error) {
    return notRecordedResult(error, undefined);
  }
  recorded.catch(() => reply.cancel("not_durable"));
  const tooLong = setTimeout(() => reply.cancel("too_long"), totalTimeoutMs);
  let answer: PromiseSettledResult<UpstreamAnswer> | undefined;
  try {
    const body = bodyFor(Math.floor(granted.outputTokensMax / request.choices));
    timings.upstreamCalled();
    reservation.markSent();
    // An adapter that throws has failed as one that rejects.
    const call = (async () => upstream.chatCompletion({ body, streamed: request.streamed, signal: reply.signal }))();
    const [record, answered] = await Promise.allSettled([recorded, call]);
    answer = answered;
    if (!isBillable(answer)) reservation.markRefused();
    if (record.status === "rejected") return notRecordedResult(record.reason, answer);
    if (answer.status === "rejected") return noAnswerResult(answer.reason, reply);
    return await relayAnswer(answer.value, sending);
  } finally {
    clearTimeout(tooLong);
    timings.answerOver();
    if (answer?.status === "fulfilled") discard(answer.value, log);
  }
}

function relayAnswer(answer: UpstreamAnswer, { reply, request, granted, responseGuard, timings }: Sending) {
  const { streamed, wantsUsageChunk, choices } = request;
  const wants = { streamed, wantsUsageChunk, choices, outputTokensMax: granted.outputTokensMax };
  return relay(answer, reply, wants, responseGuard, timings);
}

/** The answer has been relayed: an upstream that cannot be closed changes nothing about that. */
function discard(answer: UpstreamAnswer, log: Logger): void {
  try {
    answer.discard();
  } catch (error) {
    log.warn({ err: error }, "the connection to an upstream could not be closed");
  }
}
