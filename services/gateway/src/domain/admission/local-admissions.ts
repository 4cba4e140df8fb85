/**
 * Admission in this process, on slices of the limits that apply; the policy service decides where that is not possible.
 *
 * Steps. Find the limits of the key, without a call. If there are none, admit. Else take the bounds of the request from the slices of
 * all of them, or from none. If they do not fit, deny what the policy service has just denied; else acquire more slices; if those are not
 * granted, ask the policy service to admit.
 * Latency: no call, no await and no timer on the warm path; one call for the first request of a lineage.
 * Failures: nothing is refused on the basis of a slice; see `kept-decisions.ts` for refusals. Nothing is admitted on slices once the
 * session has expired, by the larger of the elapsed monotonic and wall clock time, nor while the log acknowledges nothing.
 */
import {
  RateSlices,
  reservationCost,
  type SliceBounds,
  type SliceReservation,
  StandingSlice,
} from "@routeplane/admission";
import type { Clock } from "@routeplane/domain";
import type {
  AdmissionDecision,
  AdmissionRequest,
  LocalAdmissions,
  RateLimitState,
  ShadowDenial,
} from "../ports/admissions.ts";
import type { AppliedLimits, LimitDirectory } from "../ports/limit-directory.ts";
import type { SessionLimitSet } from "./gateway-session.ts";
import type { KeptDecisions } from "./kept-decisions.ts";
import type { SessionKeeper } from "./session-keeper.ts";
import type { HeldSession } from "./slice-calls.ts";
import { SessionAdmission } from "./session-admission.ts";
import { isRunningLow } from "./slice-requests.ts";
import { noteUse } from "./slice-returns.ts";

export interface LocalAdmissionsOptions {
  readonly limits: LimitDirectory;
  readonly keeper: Pick<SessionKeeper, "current">;
  /** Decisions of the policy service that are kept for a moment. */
  readonly kept: KeptDecisions;
  /** Clock of elapsed time; see `createElapsedClock`. */
  readonly elapsed: () => number;
  readonly clock: Clock;
}

/** Time for which a record of an admission is valid without a settlement. */
const LIFE_MS = 15 * 60_000;

export function createLocalAdmissions(options: LocalAdmissionsOptions): LocalAdmissions {
  const { limits: directory, keeper, kept, elapsed, clock } = options;

  const admitOn = (
    held: HeldSession,
    set: SessionLimitSet,
    { limits, request, shadowDenials }: Admitted,
    reservation: SliceReservation,
  ): AdmissionDecision => {
    const nowMs = elapsed();
    if (takeLook(set, nowMs)) {
      if (noteUses(set, nowMs)) held.calls.refill(set, reservation.bounds);
      const tightest = (dimension: "money" | "requests" | "tokens") => tightestOf(set, limits, dimension, nowMs);
      set.tightest = { money: tightest("money"), requests: tightest("requests"), tokens: tightest("tokens") };
    }
    if (shadowDenials.length === 0) kept.noteShadowsFit(limits, request);
    const slices = new SessionAdmission(held.session, set, reservation, elapsed);
    return {
      admitted: true,
      shadowDenials,
      outputTokensMax: request.outputTokensMax,
      reservedNanoUsd: slices.boundNanoUsd,
      expiresAt: new Date(clock() + LIFE_MS),
      requests: stateOf(set, limits, "requests", nowMs),
      tokens: stateOf(set, limits, "tokens", nowMs),
      budgetRemainingMicroUsd: budgetRemainingOf(set, limits),
      slices,
    };
  };
  const acquire = async (
    held: HeldSession,
    set: SessionLimitSet,
    admitted: Admitted,
    bounds: SliceBounds,
  ): Promise<AdmissionDecision | undefined> => {
    const reservation = await held.calls.acquire(set, bounds);
    return reservation && admitOn(held, set, admitted, reservation);
  };

  /** Session on whose slices the request may be admitted now, and the limit set. */
  const findSet = ({ limits, request }: Admitted): { held: HeldSession; set: SessionLimitSet } | undefined => {
    const nowMs = elapsed();
    const held = keeper.current;
    if (held === undefined || !held.session.isUsable(nowMs)) return undefined;
    const set = held.session.setOf(limits, request.namespaceId);
    if (set === undefined || nowMs < set.centralUntilMs || held.session.isLogSilent(nowMs)) return undefined;
    return { held, set };
  };

  const limitsOf = ({ namespaceId, lineage, idempotencyKey }: AdmissionRequest): AppliedLimits | undefined => {
    const keyId = lineage.at(-1);
    if (idempotencyKey !== undefined || keyId === undefined) return undefined;
    return directory.findLimits({ namespaceId, keyId });
  };

  return {
    admit(request) {
      const limits = limitsOf(request);
      if (limits === undefined) return undefined;
      if (limits.isCentral) return kept.refusalOf(limits, request);
      const shadows = kept.usedUpShadowsOf(limits, request);
      const { others = limits, denials: shadowDenials = NONE } = shadows ?? {};
      if (others.limits.length === 0) return admitWithoutLimits(request, shadowDenials);
      const admitted = { limits: others, request, shadowDenials };
      const bounds = boundsOf(request);
      const found = bounds && findSet(admitted);
      if (bounds === undefined || found === undefined) return kept.refusalOf(limits, request);
      const { held, set } = found;
      const reservation = set.isConfirmed ? set.set.reserve(bounds, elapsed()) : undefined;
      if (reservation !== undefined) return admitOn(held, set, admitted, reservation);
      return kept.refusalOf(limits, request) ?? acquire(held, set, admitted, bounds);
    },

    ask(request) {
      const limits = limitsOf(request);
      return limits === undefined ? () => {} : kept.ask(limits, request);
    },
  };
}

const NONE: readonly ShadowDenial[] = [];

/** Request and the limits that it is counted on. */
interface Admitted {
  readonly limits: AppliedLimits;
  readonly request: AdmissionRequest;
  /** Denials of shadow bindings, which are not among the limits. */
  readonly shadowDenials: readonly ShadowDenial[];
}

function admitWithoutLimits(
  { outputTokensMax }: AdmissionRequest,
  shadowDenials: readonly ShadowDenial[],
): AdmissionDecision {
  const none = { shadowDenials, requests: undefined, tokens: undefined, expiresAt: undefined };
  return { admitted: true, outputTokensMax, reservedNanoUsd: 0n, ...none };
}

/** Bounds of a request; undefined if they are beyond what a slice can hold. */
function boundsOf({ price, inputTokensMax, outputTokensMax }: AdmissionRequest): SliceBounds | undefined {
  const cost = reservationCost(price, BigInt(inputTokensMax), BigInt(outputTokensMax));
  if (cost > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  return { nanoUsd: Number(cost), tokens: inputTokensMax + outputTokensMax };
}

/**
 * Maximum number of counters that are checked for every request, and bounds of the time and requests between two checks of a larger set.
 */
const FEW_COUNTERS = 16;
const MAX_LOOK_MS = 2;
const MAX_LOOK_REQUESTS = 8;

/**
 * Counts a request on a set. Checking its counters, so that more is asked for before a slice is used up, can wait a moment: with 200 limits
 * the check took as long as the admission itself.
 *
 * @returns true if the counters are to be checked one by one now
 */
function takeLook(set: SessionLimitSet, nowMs: number): boolean {
  set.requestsSince++;
  const isDue =
    set.counters.length <= FEW_COUNTERS ||
    nowMs - set.lookedAtMs >= MAX_LOOK_MS ||
    set.requestsSince >= MAX_LOOK_REQUESTS;
  if (!isDue) return false;
  set.lookedAtMs = nowMs;
  set.requestsSince = 0;
  return true;
}

/** Notes that a request used the counters. @returns true if one of them runs low */
function noteUses(set: SessionLimitSet, nowMs: number): boolean {
  let isLow = false;
  for (const counter of set.counters) {
    noteUse(counter, nowMs);
    isLow ||= isRunningLow(counter, nowMs);
  }
  return isLow;
}

/** State of the tightest rate limit that is enforced, for the headers of answers. */
function stateOf(
  set: SessionLimitSet,
  applied: AppliedLimits,
  dimension: "requests" | "tokens",
  nowMs: number,
): RateLimitState | undefined {
  const index = set.tightest[dimension];
  return index === undefined ? undefined : stateAt(set, applied, index, nowMs);
}

/** Micro-USD that remain of the tightest budget, for the headers of answers; undefined if none is enforced. */
function budgetRemainingOf(set: SessionLimitSet, applied: AppliedLimits): number | undefined {
  const index = set.tightest.money;
  const nanoUsd = index === undefined ? undefined : moneyRemainingAt(set, applied, index);
  return nanoUsd === undefined ? undefined : Math.floor(nanoUsd / NANO_USD_PER_MICRO_USD);
}

const NANO_USD_PER_MICRO_USD = 1_000;

function tightestOf(
  set: SessionLimitSet,
  applied: AppliedLimits,
  dimension: "money" | "requests" | "tokens",
  nowMs: number,
): number | undefined {
  let tightest: number | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const [index, { slice }] of set.counters.entries()) {
    if (slice.dimension !== dimension) continue;
    const remaining =
      dimension === "money" ? moneyRemainingAt(set, applied, index) : stateAt(set, applied, index, nowMs)?.remaining;
    if (remaining === undefined || remaining >= least) continue;
    [tightest, least] = [index, remaining];
  }
  return tightest;
}

/**
 * Nano-USD that remain of one budget: those that remained when the policy service last answered, and what is free of the slice. What is
 * set aside for other processes counts as used. Undefined if the budget is not enforced, or if that is not known.
 */
function moneyRemainingAt({ counters }: SessionLimitSet, { limits }: AppliedLimits, index: number): number | undefined {
  const [slice, applied] = [counters[index]?.slice, limits[index]];
  if (!(slice instanceof StandingSlice) || slice.remaining === undefined || applied?.isShadow !== false)
    return undefined;
  return Math.max(0, slice.remaining + slice.free);
}

/** State of one rate limit; undefined if the limit is not enforced, or the state is not known. */
function stateAt(
  { counters }: SessionLimitSet,
  { limits }: AppliedLimits,
  index: number,
  nowMs: number,
): RateLimitState | undefined {
  const [slice, applied] = [counters[index]?.slice, limits[index]];
  if (!(slice instanceof RateSlices) || slice.state === undefined || applied === undefined || applied.isShadow)
    return undefined;
  const remaining = Math.min(applied.limit, slice.state.remaining + slice.freeAt(nowMs));
  return { limit: applied.limit, remaining, resetsAt: new Date(slice.state.resetsAtMs) };
}
