/**
 * Calls by which a process gets slices and gives them back.
 *
 * Architecture. Requests that fit on no slice wait by limit set; counters that run low, and those with returns, wait by namespace. A call
 * takes one request of each namespace that waits, 64 at most: a counter is in one call at a time, because the sums of a second call would
 * be older than the answer to the first.
 * Concurrency: up to 4 calls are under way, each for other namespaces. Requests that arrive meanwhile share the next call.
 * Requests for which only too much is in doubt make no call: they wait for the log (`doubt-waits.ts`).
 * Failures: if a call fails, grants nothing or has no answer within 500 ms, the requests that wait for it, or for the next one of its
 * namespaces, go to the policy service's own admission; grants that come late are used. The next call reports returns again: they are sums.
 */
import { RateSlices, type SliceBounds, type SliceReservation, StandingSlice } from "@routeplane/admission";
import { type Id } from "@routeplane/domain";
import type { Logger } from "@routeplane/runtime";
import {
  type GatewaySessions,
  MAX_COUNTERS,
  MAX_SLICE_REQUESTS,
  type SessionState,
  type SliceGrant,
  type SliceRequest,
} from "../ports/gateway-sessions.ts";
import { DoubtWaits } from "./doubt-waits.ts";
import type { GatewaySession, HeldCounter, SessionLimitSet } from "./gateway-session.ts";
import { applyGrant, isRunningLow, needOf, NO_NEED, toCounterRequest } from "./slice-requests.ts";

/** Request that waits for a slice. */
interface Waiter {
  readonly bounds: SliceBounds;
  readonly resolve: (reservation: SliceReservation | undefined | Promise<SliceReservation | undefined>) => void;
}

/** Requests and counters that wait for the next call of a namespace. */
interface Waiting {
  readonly waiters: Map<SessionLimitSet, Waiter[]>;
  /** Limit sets that run low, and the bounds of the request that noticed it. */
  readonly low: Map<SessionLimitSet, SliceBounds>;
  readonly returning: Set<HeldCounter>;
  isInFlight: boolean;
  /** True while the call that is under way is late. */
  isLate: boolean;
}

/** Request of one namespace in a call, and what it is for. */
interface Pending {
  readonly waiting: Waiting;
  readonly set: SessionLimitSet | undefined;
  /** Emptied once they go to the policy service's own admission. */
  readonly waiters: Waiter[];
  /** Number of waiters at first. */
  readonly waited: number;
  readonly counters: readonly HeldCounter[];
  readonly request: SliceRequest;
}

const MAX_IN_FLIGHT = 4;
/** Number of waiting requests of a namespace from which on others go to the policy service's own admission. */
const MAX_WAITERS = 1_000;
/** Time that requests wait for an answer. */
const PATIENCE_MS = 500;
/** Time for which requests of a limit set go to the policy service's own admission after one was not granted. */
const CENTRAL_MS = 250;

export interface SliceCallsOptions {
  readonly session: GatewaySession;
  readonly sessions: GatewaySessions;
  readonly clock: () => number;
  readonly log: Logger;
  readonly onState: (state: SessionState) => void;
}

/** Session in use, with its slice calls and its record in the spool. */
export interface HeldSession {
  readonly session: GatewaySession;
  readonly calls: SliceCalls;
  readonly recordOffset: number;
}

/** Slice calls of one session. */
export class SliceCalls {
  readonly #options: SliceCallsOptions;
  readonly #namespaces = new Map<Id<"ns">, Waiting>();
  readonly #doubtWaits: DoubtWaits;
  #inFlight = 0;
  /** Number of calls under way that are late. */
  #late = 0;
  #isScheduled = false;

  constructor(options: SliceCallsOptions) {
    this.#options = options;
    this.#doubtWaits = new DoubtWaits(options.session, options.clock);
  }

  /** Resolves to the reservation of a request once its limit set has slices for it; to undefined if the policy service has to decide. */
  acquire(set: SessionLimitSet, bounds: SliceBounds): Promise<SliceReservation | undefined> {
    if (set.isConfirmed && set.set.check(bounds, this.#options.clock()) === "doubt")
      return this.#doubtWaits.wait(set, bounds);
    const { waiters, isLate } = this.#waitingIn(set.namespaceId);
    const ofSet = waiters.get(set) ?? [];
    if (isLate || this.#late === MAX_IN_FLIGHT || ofSet.length >= MAX_WAITERS) return Promise.resolve(undefined);
    waiters.set(set, ofSet);
    const { promise, resolve } = Promise.withResolvers<SliceReservation | undefined>();
    ofSet.push({ bounds, resolve });
    this.#schedule();
    return promise;
  }

  /** Asks for more ahead of need. */
  refill(set: SessionLimitSet, bounds: SliceBounds): void {
    this.#waitingIn(set.namespaceId).low.set(set, bounds);
    this.#schedule();
  }

  /** Gives the free part of a counter back. */
  giveBack(counter: HeldCounter): void {
    const { slice, namespaceId } = counter;
    if (slice instanceof RateSlices) slice.expireAll();
    const hasReturns = slice instanceof StandingSlice ? slice.giveBack(slice.free) > 0 : slice.hasUnused;
    counter.hasReturns ||= hasReturns;
    counter.appetite.pause(this.#options.clock());
    if (counter.hasReturns) this.tellReturns(counter, namespaceId);
  }

  /** Reports to the policy service what was returned, or is unused. */
  tellReturns(counter: HeldCounter, namespaceId: Id<"ns">): void {
    this.#waitingIn(namespaceId).returning.add(counter);
    this.#schedule();
  }

  /** Sends all waiting requests to the policy service's own admission. */
  stop(): void {
    this.#doubtWaits.stop();
    this.#giveUp(this.#namespaces.values());
  }

  /** Sends what waits for the next calls of these namespaces to the policy service's own admission. */
  #giveUp(all: Iterable<Waiting>): void {
    for (const { waiters } of all) {
      for (const ofSet of waiters.values()) for (const { resolve } of ofSet) resolve(undefined);
      waiters.clear();
    }
  }

  /** Notes that a call is late: nothing waits for it any more, nor for the next call of its namespaces, nor for others if all calls are. */
  #noteLate(calls: readonly Pending[]): void {
    this.#late++;
    for (const { waiters, waiting } of calls) {
      waiting.isLate = true;
      for (const { resolve } of waiters.splice(0)) resolve(undefined);
    }
    this.#giveUp(this.#late === MAX_IN_FLIGHT ? this.#namespaces.values() : calls.map(({ waiting }) => waiting));
  }

  #waitingIn(namespaceId: Id<"ns">): Waiting {
    const known = this.#namespaces.get(namespaceId);
    if (known !== undefined) return known;
    const waiting: Waiting = {
      waiters: new Map(),
      low: new Map(),
      returning: new Set(),
      isInFlight: false,
      isLate: false,
    };
    this.#namespaces.set(namespaceId, waiting);
    return waiting;
  }

  /** Sends the waiting requests at the end of this turn of the event loop, together with those added until then. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#send();
    });
  }

  #send(): void {
    while (this.#inFlight < MAX_IN_FLIGHT) {
      const calls: Pending[] = [];
      for (const [namespaceId, waiting] of this.#namespaces) {
        if (waiting.isInFlight) continue;
        const pending = this.#take(namespaceId, waiting);
        if (pending === undefined) this.#namespaces.delete(namespaceId);
        else calls.push(pending);
        if (calls.length === MAX_SLICE_REQUESTS) break;
      }
      if (calls.length === 0) return;
      this.#inFlight++;
      void this.#call(calls).finally(() => {
        this.#inFlight--;
        this.#schedule();
      });
    }
  }

  /** Takes the next request of a namespace: one that requests wait for first. */
  #take(namespaceId: Id<"ns">, waiting: Waiting): Pending | undefined {
    const { waiters: bySet, low, returning } = waiting;
    const nowMs = this.#options.clock();
    // The answer that came meanwhile may have been enough.
    for (const each of low.keys()) if (!each.counters.some((counter) => isRunningLow(counter, nowMs))) low.delete(each);
    const [set] = bySet.size > 0 ? bySet.keys() : low.keys();
    if (set !== undefined) {
      const all = bySet.get(set) ?? [];
      const waiters = all.splice(0, Math.min(set.batchMax, countWithinCall(all)));
      const bounds =
        waiters.length > 0 ? waiters.map(({ bounds }) => bounds) : [low.get(set) ?? { nanoUsd: 0, tokens: 0 }];
      if (all.length === 0) bySet.delete(set);
      low.delete(set);
      for (const counter of set.counters) returning.delete(counter);
      const counters = set.counters.map((counter) => toCounterRequest(counter, needOf(counter, bounds), nowMs));
      const limitSet = set.number;
      waiting.isInFlight = true;
      return {
        waiting,
        set,
        waiters,
        waited: waiters.length,
        counters: set.counters,
        request: { namespaceId, limitSet, counters },
      };
    }
    const counters = [...returning].slice(0, MAX_COUNTERS);
    if (counters.length === 0) return undefined;
    for (const counter of counters) returning.delete(counter);
    const requests = counters.map((counter) => toCounterRequest(counter, NO_NEED, nowMs));
    waiting.isInFlight = true;
    const request = { namespaceId, limitSet: 0, counters: requests };
    return { waiting, set: undefined, waiters: [], waited: 0, counters, request };
  }

  async #call(calls: readonly Pending[]): Promise<void> {
    const { session, sessions, clock, log, onState } = this.#options;
    const sentAtMs = clock();
    const told = calls.map(({ counters }) =>
      counters.map(({ slice }) => (slice instanceof StandingSlice ? slice.returned : 0)),
    );
    let grants: readonly (SliceGrant | undefined)[] = [];
    const late = setTimeout(() => this.#noteLate(calls), PATIENCE_MS);
    try {
      const answer = await sessions.acquire(
        session.id,
        calls.map(({ request }) => request),
      );
      grants = answer.grants;
      onState(answer.state);
    } catch (error) {
      log.debug({ err: error }, "acquiring slices failed");
    }
    clearTimeout(late);
    if (calls[0]?.waiting.isLate === true) this.#late--;
    for (const [index, pending] of calls.entries()) {
      pending.waiting.isInFlight = false;
      pending.waiting.isLate = false;
      const grant = grants[index];
      if (grant !== undefined) this.#noteReturns(pending.counters, told[index] ?? []);
      this.#answer(pending, grant, sentAtMs);
    }
  }

  /** Lets requests wait for the next call, before those that came later. */
  #requeue(set: SessionLimitSet, waiters: readonly Waiter[]): void {
    const { waiters: bySet } = this.#waitingIn(set.namespaceId);
    bySet.set(set, [...waiters, ...(bySet.get(set) ?? [])]);
    this.#schedule();
  }

  /** Sends what waits for a limit set to the policy service's own admission: a single request was not granted. */
  #sendElsewhere(set: SessionLimitSet): void {
    const { waiters: bySet } = this.#waitingIn(set.namespaceId);
    for (const { resolve } of bySet.get(set) ?? []) resolve(undefined);
    bySet.delete(set);
    set.batchMax = Number.POSITIVE_INFINITY;
  }

  #noteReturns(counters: readonly HeldCounter[], told: readonly number[]): void {
    for (const [index, counter] of counters.entries()) {
      if (counter.slice instanceof StandingSlice) counter.hasReturns = counter.slice.returned > (told[index] ?? 0);
      else counter.hasReturns = counter.slice.hasUnused;
    }
  }

  #answer({ set, waiters, counters, request, waited }: Pending, grant: SliceGrant | undefined, sentAtMs: number): void {
    const isCentral = waited > 0 && (grant?.granted !== true || waiters.length === 0);
    const nowMs = this.#options.clock();
    if (grant !== undefined) applyGrant(counters, request.counters, grant, sentAtMs, nowMs);
    if (set === undefined) return;
    if (grant?.granted === true) {
      set.isConfirmed = true;
      set.batchMax = Number.POSITIVE_INFINITY;
    } else if (grant !== undefined && waiters.length > 1) {
      // Near a limit, half of them may fit: one call more is less work for the policy service than an admission each.
      set.batchMax = Math.ceil(waiters.length / 2);
      return this.#requeue(set, waiters);
    } else if (waiters.length > 0) set.centralUntilMs = nowMs + CENTRAL_MS;
    // The policy service decides on these requests now: what is free here must not be in their way.
    if (grant !== undefined && isCentral) for (const counter of counters) this.giveBack(counter);
    if (isCentral && nowMs < set.centralUntilMs) this.#sendElsewhere(set);
    const isUsable = set.isConfirmed && this.#options.session.isUsable(nowMs);
    for (const { bounds, resolve } of waiters) resolve(isUsable ? this.#reserve(set, bounds, nowMs) : undefined);
  }

  /** Reserves on slices that were just granted, or waits for the log if only that is in the way. */
  #reserve(set: SessionLimitSet, bounds: SliceBounds, nowMs: number) {
    return set.set.check(bounds, nowMs) === "doubt"
      ? this.#doubtWaits.wait(set, bounds)
      : set.set.reserve(bounds, nowMs);
  }
}

/** Number of the first waiters, at least one, whose bounds add up to no more than a call can ask for: 2^53 - 1 of each amount. */
function countWithinCall(waiters: readonly Waiter[]): number {
  let [nanoUsd, tokens] = [0, 0];
  const beyond = waiters.findIndex(({ bounds }) => {
    nanoUsd += bounds.nanoUsd;
    tokens += bounds.tokens;
    return Math.max(nanoUsd, tokens) > Number.MAX_SAFE_INTEGER;
  });
  return beyond === -1 ? waiters.length : Math.max(1, beyond);
}
