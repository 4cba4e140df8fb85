import type { SliceBounds, SliceReservation } from "@routeplane/admission";
import type { GatewaySession, SessionLimitSet } from "./gateway-session.ts";

/** Longest wait for the log. It acknowledges within milliseconds; a log that does not is silent soon. */
const MAX_WAIT_MS = 100;
/** Number of waiting requests of a limit set from which on others do not wait. */
const MAX_WAITS = 1_000;

interface DoubtWait {
  readonly bounds: SliceBounds;
  readonly end: (reservation: SliceReservation | undefined) => void;
}

/**
 * Waits of requests that have enough free in all slices, but would bring more into doubt than is allowed: each acknowledgement of the log
 * admits those that fit then, in the order in which they came. No call to the policy service would help them.
 */
export class DoubtWaits {
  readonly #session: GatewaySession;
  readonly #clock: () => number;
  readonly #waits = new Map<SessionLimitSet, DoubtWait[]>();

  constructor(session: GatewaySession, clock: () => number) {
    this.#session = session;
    this.#clock = clock;
    session.onAcknowledged = () => this.#retry();
  }

  /** Resolves to the reservation of a request once it fits; to undefined if that takes too long, or too little is free by then. */
  wait(set: SessionLimitSet, bounds: SliceBounds): Promise<SliceReservation | undefined> {
    const ofSet = this.#waits.get(set) ?? [];
    if (ofSet.length >= MAX_WAITS) return Promise.resolve(undefined);
    this.#waits.set(set, ofSet);
    const { promise, resolve } = Promise.withResolvers<SliceReservation | undefined>();
    const timer = setTimeout(() => this.#remove(set, wait), MAX_WAIT_MS);
    const wait: DoubtWait = {
      bounds,
      end(reservation) {
        clearTimeout(timer);
        resolve(reservation);
      },
    };
    ofSet.push(wait);
    return promise;
  }

  /** Ends all waits without a reservation. */
  stop(): void {
    for (const ofSet of this.#waits.values()) for (const { end } of ofSet) end(undefined);
    this.#waits.clear();
  }

  #remove(set: SessionLimitSet, wait: DoubtWait): void {
    const left = (this.#waits.get(set) ?? []).filter((each) => each !== wait);
    if (left.length > 0) this.#waits.set(set, left);
    else this.#waits.delete(set);
    wait.end(undefined);
  }

  #retry(): void {
    if (this.#waits.size === 0) return;
    const nowMs = this.#clock();
    if (!this.#session.isUsable(nowMs)) return this.stop();
    for (const [set, ofSet] of this.#waits) {
      for (let [first] = ofSet; first !== undefined; [first] = ofSet) {
        if (set.set.check(first.bounds, nowMs) === "doubt") break;
        ofSet.shift();
        first.end(set.set.reserve(first.bounds, nowMs));
      }
      if (ofSet.length === 0) this.#waits.delete(set);
    }
  }
}
