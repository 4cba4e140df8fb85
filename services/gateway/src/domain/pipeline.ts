/**
 * The hot path: every inference request, from its credential to its settlement. It is the only way to an upstream.
 *
 * Steps: authenticate, authorise, parse, resolve model and price, judge by guardrails, reserve, record the admission, call the
 * upstream, relay the answer, settle.
 *
 * Latency: no call if slices suffice, otherwise one to the policy service; two writes to the spool and one batched publish, in parallel
 * with the upstream call; one call to the auth service if the key is not cached.
 * Concurrency: requests share nothing but their dependencies, which are safe for concurrent use.
 * Failures: nothing fails open. A request is refused if auth or policy does not answer within 2 s, if the spool is full and, if
 * the operator chose so, while NATS is disconnected; it is cancelled if its key is refused while it runs. Every admitted request
 * is settled exactly once, whatever throws, and whatever kills this process.
 */
import type { Clock, Id } from "@routeplane/domain";
import type { Logger } from "@routeplane/runtime";
import { Refusal } from "./errors/refusal.ts";
import { DecisionLog } from "./guardrails/decision-log.ts";
import type { GuardOf } from "./guardrails/guard.ts";
import { JudgingMeter } from "./guardrails/judging-meter.ts";
import { type GuardedRequest, guardRequest } from "./guardrails/request-guard.ts";
import { type ResponseGuard, responseGuardOf } from "./guardrails/response-guard.ts";
import type { DenialRecorder } from "./metering/denial-recorder.ts";
import { OpenReservation } from "./metering/open-reservation.ts";
import { factsOf, type RequestFacts } from "./metering/request-facts.ts";
import type { Settlements } from "./metering/settlements.ts";
import { Timings } from "./metering/timings.ts";
import type { Admissions, LocalAdmissions } from "./ports/admissions.ts";
import type { CallingKey, SubscribeToKey } from "./ports/key-verifier.ts";
import type { Reply } from "./ports/reply.ts";
import type { TokenCounter } from "./ports/token-counter.ts";
import type { UpstreamAnswer } from "./ports/upstream.ts";
import type { UsageLog } from "./ports/usage-log.ts";
import type { ProviderSet, ServedProviders } from "./provider-set.ts";
import type { RequestContext } from "./request-context.ts";
import { authenticate, authorise, type CredentialHeaders, INFERENCE_SCOPE } from "./request/credential.ts";
import { requireBetas } from "./request/betas.ts";
import type { InferenceRequest } from "./request/inference-request.ts";
import { parseRequest } from "./request/parse-request.ts";
import { parseIdempotencyKey } from "./request/idempotency-key.ts";
import type { Model } from "./request/model-directory.ts";
import { requireFit } from "./request/model-fit.ts";
import { priceRequest } from "./request/request-price.ts";
import { tightenEagerly } from "./request/token-bounds.ts";
import { UpstreamCalls } from "./request/upstream-calls.ts";
import { cancelReasonOf, cancelUnlessPermitted, refusalOfCancellation } from "./response/cancellation.ts";
import { noAnswerResult, notRecordedResult } from "./response/no-answer.ts";
import { ClientStream } from "./response/client-stream.ts";
import type { Wire } from "./wires/wire.ts";
import { isSuccess, relay } from "./response/relay.ts";
import { cancelledResult, type RelayResult } from "./response/relay-result.ts";
import { callHops, discard } from "./routing/call-hops.ts";
import { prepareHops, type RequestHop, upstreamOf } from "./routing/request-hops.ts";
import { UpstreamHealth } from "./routing/upstream-health.ts";

/**
 * Serves one inference request.
 *
 * @throws Refusal, or DomainError of a dependency, if nothing was sent to the client yet
 */
export type Serve = (call: InferenceCall) => Promise<void>;

/** One inference request as it arrives. */
export interface InferenceCall {
  readonly requestId: Id<"req">;
  /** Time at which the gateway received it. */
  readonly createdAt: Date;
  /** Route, e.g. `/v1/chat/completions`. */
  readonly endpoint: string;
  /** Wire of the route. */
  readonly wire: Wire;
  readonly credential: CredentialHeaders;
  /** Headers that an upstream of the same wire gets as the client wrote them, by name in lower case. */
  readonly forwardedHeaders?: Readonly<Record<string, string>> | undefined;
  /** Header `Idempotency-Key`; undefined if there is none. */
  readonly idempotencyKey: string | undefined;
  /** @throws Refusal 413; 503 if the bodies of all requests, or of this caller's, take too much memory already */
  readBody(caller: CallingKey): Promise<Uint8Array>;
  readonly reply: Reply;
}

export interface PipelineDependencies {
  readonly subscribeToKey: SubscribeToKey;
  readonly providers: ServedProviders;
  /** Finds the guardrails of a key. @throws DomainError UNAVAILABLE if they are not known */
  readonly guardOf: GuardOf;
  /** Admission in this process; absent: the policy service admits every request. */
  readonly localAdmissions?: LocalAdmissions;
  readonly admissions: Admissions;
  readonly usageLog: UsageLog;
  readonly settlements: Settlements;
  readonly denialRecorder: DenialRecorder;
  readonly tokenCounter: TokenCounter;
  readonly log: Logger;
  readonly clock: Clock;
  /** Maximum duration of a request; less than the life of a reservation, so that no request outlives its own. 10 min by default. */
  readonly totalTimeoutMs?: number;
  /** Silence after which a stream has a heart-beat. 15 s by default. */
  readonly heartbeatMs?: number;
  /** Rate limit of judging content, by key. A new one by default. */
  readonly meter?: JudgingMeter;
  /** Health of upstreams, as this process has seen it. A new one by default. */
  readonly health?: UpstreamHealth;
}

const TOTAL_TIMEOUT_MS = 10 * 60_000;

export function createPipeline(dependencies: PipelineDependencies): Serve {
  const {
    subscribeToKey,
    providers,
    guardOf,
    log,
    meter = new JudgingMeter(),
    health = new UpstreamHealth(),
  } = dependencies;
  const upstreamCalls = new UpstreamCalls(log, dependencies.tokenCounter);

  return async (call) => {
    const timings = new Timings();
    const subscribe = (token: string) => subscribeToKey(token, (result) => cancelUnlessPermitted(call.reply, result));
    const subscribed = authenticate(call.credential, subscribe);
    const { principal, release } = subscribed instanceof Promise ? await subscribed : subscribed;
    const { current } = providers;
    current.acquire();
    try {
      await serve(call, authorise(principal, INFERENCE_SCOPE), current, timings);
    } catch (error) {
      if (call.reply.signal.aborted && !(error instanceof Refusal)) {
        throw refusalOfCancellation(cancelReasonOf(call.reply));
      }
      throw error;
    } finally {
      current.release();
      release();
    }
  };

  async function serve(
    call: InferenceCall,
    caller: CallingKey,
    { directory, upstreams }: ProviderSet,
    timings: Timings,
  ): Promise<void> {
    const { reply } = call;
    const idempotencyKey = parseIdempotencyKey(call.idempotencyKey);
    const request = await parseRequest(call.wire, await call.readBody(caller), reply.signal);
    const { model, billedModelFor } = priceRequest(directory, request, call.createdAt);
    requireFit(request, model);
    requireBetas(call.forwardedHeaders, model);
    const upstream = upstreamOf(upstreams, model);
    const facts = factsOf(call, caller, request, model);
    const known = guardOf(caller);
    const guard = known instanceof Promise ? await known : known;
    const decisions = new DecisionLog(guard);
    const judgingShare = meter.shareOf(caller);
    const { forwardedHeaders } = call;
    const priced = { request, forwardedHeaders, idempotencyKey, model, billedModelFor, upstream };
    const context: RequestContext = { facts, caller, reply, timings, ...priced, guard, decisions, judgingShare };

    const guarded = await judge(dependencies, context);
    const tightened = tightenEagerly(guarded.bounds, dependencies.tokenCounter);
    const bounds = tightened instanceof Promise ? await tightened : tightened;
    // Everything that can fail before the reservation is done before it: afterwards a failure has to be settled.
    const providerSet = { directory, upstreams };
    const routed = {
      context,
      guarded,
      providers: providerSet,
      upstreamCalls,
      tokenCounter: dependencies.tokenCounter,
      health,
    };
    const prepared = prepareHops(routed, bounds);
    const { primary, all } = prepared instanceof Promise ? await prepared : prepared;
    const admittedContext = primary.model === model ? context : contextOf(primary, context);
    const answerGuard = responseGuardOf(
      { guard, content: request.wire.content, decisions },
      reply.signal,
      judgingShare.unstopped,
    );
    const responseGuard = answerGuard instanceof Promise ? await answerGuard : answerGuard;

    const reservation = new OpenReservation(dependencies, admittedContext);
    try {
      const { choices } = guarded.request;
      const others = all.filter((hop) => hop !== primary);
      const admitted = reservation.admit({ ...primary.bounds, choices, idempotencyKey }, others);
      if (admitted instanceof Promise) await admitted;
      const hops = all.filter((hop) => hop === primary || reservation.covers(hop));
      const forwarding = { request: guarded.request, hops, responseGuard };
      const result = await forward(dependencies, admittedContext, reservation, forwarding);
      reservation.settle(result);
      if (result.refusal !== undefined) throw result.refusal;
    } finally {
      reservation.close();
    }
  }
}

/** Context of a request that is admitted, and recorded, for another model than the requested one. */
function contextOf({ model, billedModelFor }: RequestHop, context: RequestContext): RequestContext {
  const { id, provider } = model;
  return { ...context, model, billedModelFor, facts: { ...context.facts, model: id, provider } };
}

/** Judges a request by the guardrails of its key. @throws Refusal; a denial is recorded */
async function judge(
  { denialRecorder, tokenCounter }: PipelineDependencies,
  context: RequestContext,
): Promise<GuardedRequest> {
  try {
    return await guardRequest({ ...context, tokenCounter });
  } catch (error) {
    if (error instanceof Refusal && error.denial !== undefined) {
      const { facts, caller, decisions } = context;
      denialRecorder.record({ facts, caller, refusal: error, denial: error.denial, decisions });
    }
    throw error;
  }
}

/** A request as it is forwarded, and the bounds of its answer. */
interface Forwarding {
  /** Request with its content as the guardrails let it pass. */
  readonly request: InferenceRequest;
  /** Models that it may go to, in order. */
  readonly hops: readonly RequestHop[];
  readonly responseGuard: ResponseGuard | undefined;
}

/**
 * Records the admission, calls the upstream while the record is committed, and relays the answer once it is: no byte leaves
 * before that. Throws only for a fault of the gateway.
 */
async function forward(
  { log, totalTimeoutMs = TOTAL_TIMEOUT_MS, heartbeatMs }: PipelineDependencies,
  { facts, reply, timings }: RequestContext,
  reservation: OpenReservation,
  { request, hops, responseGuard }: Forwarding,
): Promise<RelayResult> {
  const { streamed, wantsUsageChunk, choices, wire } = request;
  const { signal } = reply;
  if (signal.aborted) {
    return { ...cancelledResult(cancelReasonOf(reply)), billable: false, neverSent: true };
  }
  const timeout = setTimeout(() => reply.cancel("too_long"), totalTimeoutMs);
  const stream = streamed ? new ClientStream(reply, wire.errors, heartbeatMs) : undefined;
  let committed: Promise<void> | undefined;
  let answer: PromiseSettledResult<UpstreamAnswer> | undefined;
  try {
    committed = reservation.recordAdmission();
    const commitment = committed.then(
      () => stream?.start(),
      (fault: unknown) => {
        reply.cancel("not_durable");
        return { fault };
      },
    );
    const called = await callHops({ facts, reply, timings, reservation, hops, choices, log });
    ({ answer } = called);
    const commit = await commitment;
    if (commit !== undefined) return notRecordedResult(commit.fault, answer);
    if (answer.status === "rejected") {
      const result = noAnswerResult(answer.reason, reply);
      return stream === undefined ? result : await stream.finish(result);
    }
    announceDropped(answer.value, reply);
    const metered = { format: wire.answer, wantsUsageChunk, choices, outputTokensMax: called.outputTokensMax };
    const context = { ...metered, reply, stream, guard: responseGuard, timings };
    const relayed = meteredByUpstream(await relay(answer.value, context), answer.value);
    const { status: upstreamStatus, requestId: upstreamRequestId } = answer.value;
    const result = { ...relayed, upstreamStatus, upstreamRequestId };
    // A refusal that is still to be sent is logged where it is sent.
    if (relayed.fault !== undefined && relayed.refusal === undefined)
      log.error({ err: relayed.fault, requestId: facts.requestId }, "answer failed");
    if (relayed.upstreamError !== undefined || !isSuccess(answer.value))
      reportUpstreamError(result, facts, called.hop.model, log);
    return result;
  } catch (error) {
    if (committed === undefined) return notRecordedResult(error, undefined);
    throw error;
  } finally {
    clearTimeout(timeout);
    stream?.stop();
    timings.markAnswerEnd();
    if (answer?.status === "fulfilled") discard(answer.value, log);
  }
}

/** Replaces metering and outcome of a translated answer by those of the upstream's own wire; of an error only if its usage is known. */
function meteredByUpstream(relayed: RelayResult, { metered }: UpstreamAnswer): RelayResult {
  const own = relayed.billable ? metered?.() : undefined;
  if (own === undefined || (relayed.upstreamError !== undefined && own.usage === undefined)) return relayed;
  const { hasFailed, ...usage } = own;
  const isFailure = hasFailed && relayed.outcome === "succeeded";
  return { ...relayed, ...usage, ...(isFailure && { outcome: "failed" as const, errorCode: "upstream_error" }) };
}

/** Bound of the header that names what was left out of a request. */
const MAX_DROPPED_CHARS = 1_000;

/** Names what was left out of a request, unless the head of the answer has left. */
function announceDropped({ dropped = [] }: UpstreamAnswer, reply: Reply): void {
  if (dropped.length === 0 || reply.begun) return;
  const names = dropped.join(", ").replaceAll(/[^\x20-\x7e]/g, "?");
  reply.announce({ "x-routeplane-dropped": names.slice(0, MAX_DROPPED_CHARS) });
}

/** Logs an error of an upstream in its own words, also if the client gets other words: the error may concern the operator alone. */
function reportUpstreamError(
  result: RelayResult,
  { requestId, namespaceId, keyId }: RequestFacts,
  { provider, id: model }: Model,
  log: Logger,
): void {
  const { upstreamStatus, upstreamRequestId, upstreamError, httpStatus, errorCode } = result;
  const error = { upstreamStatus, upstreamRequestId, upstreamError, httpStatus, errorCode };
  log.warn({ requestId, namespaceId, keyId, provider, model, ...error }, "upstream answered with an error");
}
