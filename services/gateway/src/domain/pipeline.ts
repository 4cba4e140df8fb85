import type { Clock, Id } from "@routeplane/domain";
import type { Logger } from "@routeplane/runtime";
import { type Charge, chargeFor, costBound, reservationOf, settlementOf } from "./charge.ts";
import { type ChatRequest, parseChatRequest, upstreamBody } from "./chat-request.ts";
import { authenticate, authorise, type CredentialHeaders, INFERENCE_SCOPE } from "./credential.ts";
import { cutReason, heedKey, refusalOfCut } from "./cut.ts";
import { DecisionLog } from "./decision-log.ts";
import { Denied, denialSettlement, limitExceeded } from "./denial.ts";
import type { Guard } from "./guard.ts";
import { parseIdempotencyKey, repetitionOf } from "./idempotency-key.ts";
import { type Model, type ModelDirectory, priceAt, resolveModel } from "./model-directory.ts";
import { applyMemberRules, withSurcharges } from "./member-rules.ts";
import { noAnswer, notRecorded } from "./no-answer.ts";
import type {
  AdmissionDecision,
  AdmissionRequest,
  Admissions,
  CallingKey,
  Debt,
  FollowKey,
  Reply,
  RequestFacts,
  Reservation,
  UsageLog,
} from "./ports.ts";
import type { Upstream } from "./upstream.ts";
import { rateLimitHeaders } from "./rate-limit-headers.ts";
import { dependencyDown, Refusal } from "./refusal.ts";
import { cutShort, relay, type Relayed } from "./relay.ts";
import { type GuardedRequest, guardRequest } from "./request-guard.ts";
import { type ResponseGuard, responseGuardOf } from "./response-guard.ts";
import type { Settlements } from "./settlements.ts";
import { Timings } from "./timings.ts";
import type { TokenBounds } from "./token-bounds.ts";

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
  /** @throws Refusal 413 */
  readBody(): Promise<Uint8Array>;
  readonly reply: Reply;
}

export interface PipelineDependencies {
  readonly followKey: FollowKey;
  readonly directory: ModelDirectory;
  /** What applies to a key. @throws DomainError UNAVAILABLE if that is not known */
  readonly guardOf: (caller: CallingKey) => Promise<Guard>;
  readonly admissions: Admissions;
  readonly usageLog: UsageLog;
  readonly settlements: Settlements;
  /** By name of the provider. */
  readonly upstreams: ReadonlyMap<string, Upstream>;
  readonly log: Logger;
  readonly clock: Clock;
  /** Less than a hold lives, so that a request never outlives its reservation. 10 min by default. */
  readonly totalTimeoutMs?: number;
}

/** `asked` is the debt that was recorded before the policy service was asked. */
type Admitted = Extract<AdmissionDecision, { admitted: true }> & { readonly asked: Debt };

const NO_HOLD = { held: false, neverSent: true };

const TOTAL_TIMEOUT_MS = 10 * 60_000;

/** @returns a function that throws a Refusal, or a DomainError of a dependency, if the client has been told nothing yet */
export function createPipeline(dependencies: PipelineDependencies): Serve {
  const { followKey, directory, guardOf, settlements, clock } = dependencies;
  return async (call) => {
    const timings = new Timings();
    const follow = (token: string) => followKey(token, (outcome) => heedKey(call.reply, outcome));
    const { principal, release } = await authenticate(call.credential, follow);
    try {
      await serve(call, authorise(principal, INFERENCE_SCOPE), timings);
    } catch (error) {
      if (call.reply.signal.aborted && !(error instanceof Refusal)) throw refusalOfCut(cutReason(call.reply));
      throw error;
    } finally {
      release();
    }
  };

  async function serve(call: InferenceCall, caller: CallingKey, timings: Timings): Promise<void> {
    const idempotencyKey = parseIdempotencyKey(call.idempotencyKey);
    const asked = await parseChatRequest(await call.readBody(), call.reply.signal);
    const resolved = resolveModel(directory, asked.model);
    const model = withSurcharges(resolved, applyMemberRules(asked, resolved.memberRules));
    const upstream = upstreamOf(dependencies, model);
    const facts = factsOf(call, caller, asked, model);
    const guard = await guardOf(caller);
    const decisions = new DecisionLog(guard);
    const { request, bounds } = await judge(
      dependencies,
      facts,
      guard,
      asked,
      model,
      upstream,
      decisions,
      call.reply.signal,
    );
    const asking = { ...bounds, choices: request.choices, idempotencyKey };
    const admission = await admit(dependencies, call.reply, facts, caller, model, asking, decisions);
    const granted = { ...bounds, outputTokensMax: admission.outputTokensMax };
    const responseGuard = await responseGuardOf(guard, decisions, call.reply.signal);
    const answering = { upstream, reply: call.reply, request, model, granted, responseGuard, timings };
    const reservation = reservationOf(model, granted, admission, clock);
    const relayed = await forward(dependencies, facts, reservation, admission.asked, answering);
    const charge = chargeOf(dependencies, facts, relayed, model, granted);
    const settlement = settlementOf(charge, relayed, reservation, decisions, timings, clock);
    const neverSent = relayed.neverSent === true;
    settlements.settle(facts, settlement, {
      held: admission.expiresAt !== undefined,
      neverSent,
      asked: admission.asked,
    });
    if (relayed.refusal !== undefined) throw relayed.refusal;
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

/** By the guardrails of the key. @throws Denied, which is recorded */
async function judge(
  { usageLog, settlements, clock }: PipelineDependencies,
  facts: RequestFacts,
  guard: Guard,
  request: ChatRequest,
  model: Model,
  upstream: Upstream,
  decisions: DecisionLog,
  signal: AbortSignal,
): Promise<GuardedRequest> {
  try {
    return await guardRequest(guard, request, model, upstream, decisions, signal);
  } catch (error) {
    if (!(error instanceof Denied)) throw error;
    const asked = usageLog.asking(facts);
    settlements.settle(facts, denialSettlement(error, decisions, clock), { ...NO_HOLD, asked });
    throw error;
  }
}

/**
 * Takes the most that the request can use. @throws Denied 402 or 429 if that does not fit; Refusal 409 if it is the repetition
 * of another; 503 if it cannot be known
 */
async function admit(
  { admissions, usageLog, settlements, clock }: PipelineDependencies,
  reply: Reply,
  facts: RequestFacts,
  { lineage }: CallingKey,
  model: Model,
  asking: TokenBounds & Pick<AdmissionRequest, "choices" | "idempotencyKey">,
  decisions: DecisionLog,
): Promise<Admitted> {
  if (!settlements.hasRoom()) throw dependencyDown("policy", new Error("too many settlements wait"));
  const { namespaceId, keyId, requestId } = facts;
  const hold = { namespaceId, keyId, requestId };
  const price = priceAt(model, asking.inputTokensMax);
  const asked = usageLog.asking(hold);
  const decision = await admissions
    .admit({ namespaceId, requestId, lineage, price, ...asking })
    .catch((error: unknown) => {
      settlements.release(hold, asked);
      throw repetitionOf(error) ?? error;
    });
  const nowMs = clock();
  reply.announce(rateLimitHeaders(decision, nowMs));
  for (const each of decision.shadowDenials) decisions.addShadow(each);
  if (decision.admitted) return { ...decision, asked };
  const refusal = limitExceeded(decision.denial, nowMs);
  settlements.settle(facts, denialSettlement(refusal, decisions, clock), { ...NO_HOLD, asked });
  throw refusal;
}

/** What is sent where, and what may come back of it. */
interface Answering {
  readonly upstream: Upstream;
  readonly reply: Reply;
  readonly request: ChatRequest;
  readonly model: Model;
  readonly granted: TokenBounds;
  readonly responseGuard: ResponseGuard | undefined;
  readonly timings: Timings;
}

/**
 * Records the admission, then sends the request upstream while the record is made durable, and lets no byte out before it is.
 * Never throws.
 */
async function forward(
  { usageLog, totalTimeoutMs = TOTAL_TIMEOUT_MS }: PipelineDependencies,
  facts: RequestFacts,
  reservation: Reservation,
  asked: Debt,
  { upstream, reply, request, model, granted, responseGuard, timings }: Answering,
): Promise<Relayed> {
  if (reply.signal.aborted) return { ...cutShort(cutReason(reply), undefined, 0), billable: false, neverSent: true };
  let recorded: Promise<void>;
  try {
    recorded = usageLog.admitted(facts, reservation, asked).durable;
  } catch (error) {
    return notRecorded(error, undefined);
  }
  const tooLong = setTimeout(() => reply.cut("too_long"), totalTimeoutMs);
  recorded.catch(() => reply.cut("not_durable"));
  const outputTokensMax = Math.floor(granted.outputTokensMax / request.choices);
  const body = upstreamBody(request, { model: model.id, outputTokensMax, outputField: model.outputField });
  timings.upstreamCalled();
  const answered = upstream.chatCompletion({ body, streamed: request.streamed, signal: reply.signal });
  const [record, answer] = await Promise.allSettled([recorded, answered]);
  try {
    if (record.status === "rejected") return notRecorded(record.reason, answer);
    if (answer.status === "rejected") return noAnswer(answer.reason, reply);
    const { streamed, wantsUsageChunk, choices } = request;
    const wants = { streamed, wantsUsageChunk, choices, outputTokensMax: granted.outputTokensMax };
    return await relay(answer.value, reply, wants, responseGuard, timings);
  } finally {
    clearTimeout(tooLong);
    timings.answerOver();
    if (answer.status === "fulfilled") answer.value.discard();
  }
}

function chargeOf(
  { log }: PipelineDependencies,
  { requestId }: RequestFacts,
  relayed: Relayed,
  model: Model,
  granted: TokenBounds,
): Charge {
  const charge = chargeFor(relayed, model, granted);
  const bound = costBound(model, granted);
  if (charge.costNanoUsd > bound) {
    const { costNanoUsd } = charge;
    const amounts = { costNanoUsd: String(costNanoUsd), boundNanoUsd: String(bound) };
    log.warn(
      { requestId, provider: model.provider, model: model.id, ...amounts },
      "the upstream billed beyond the bound",
    );
  }
  return charge;
}
