import { Appetite, LimitSet, RateSlices, type SliceReservation, StandingSlice } from "@routeplane/admission";
import type { Id } from "@routeplane/domain";
import type { AppliedLimits } from "../ports/limit-directory.ts";

/** Counter of a limit, and how much of it the process wants. */
export interface HeldCounter {
  readonly slice: StandingSlice | RateSlices;
  readonly namespaceId: Id<"ns">;
  readonly appetite: Appetite;
  /** Limit as it was set when what is free was granted; see `AppliedLimit`. */
  terms: string;
  /** Time at which a request last used it. */
  usedAtMs: number;
  /** Time without a request for which a small slice is kept; see `returnIdleSlices`. */
  idleMs: number;
  /** True while the policy service does not know yet what was returned. */
  hasReturns: boolean;
  /** End of a recall by other processes: until then nothing beyond need is asked for, and free amounts are given back. */
  recalledUntilMs: number;
}

/** Limit set of a session, with its number there. */
export interface SessionLimitSet {
  readonly number: number;
  readonly namespaceId: Id<"ns">;
  readonly set: LimitSet;
  readonly counters: readonly HeldCounter[];
  /** True once the policy service has granted something on it: only then it knows the number. */
  isConfirmed: boolean;
  /** Most requests that are asked for in one call: halved while they are not granted. */
  batchMax: number;
  /** Time until which its requests go to the policy service, because what they need was not granted. */
  centralUntilMs: number;
  /** Time at which its counters were last checked one by one, and requests since then; see `takeLook`. */
  lookedAtMs: number;
  requestsSince: number;
  /** Indexes of the tightest limits at that time. */
  tightest: Readonly<Record<"money" | "requests" | "tokens", number | undefined>>;
}

/** Maximum number of limit sets of one session, which take some kilobytes each. A full session is replaced by a new one. */
const MAX_LIMIT_SETS = 10_000;
/** Silence of the log after which nothing is admitted on slices. */
const LOG_SILENT_MS = 250;

/**
 * One life of this process as the policy service knows it, and the slices that it was granted. A session that is left or has ended stays
 * usable for its running requests alone.
 */
export class GatewaySession {
  readonly id: Id<"gws">;
  /** Time, by the clock of elapsed time, from which nothing is admitted on it. */
  expiresAtMs = Number.NEGATIVE_INFINITY;
  readonly openedAtMs: number;
  /** Requests that are not reported yet. */
  openRequests = 0;
  /** True once it is left: nothing more is admitted on it. */
  isLeft = false;
  /** Called after each acknowledgement of an admission by the log. */
  onAcknowledged: () => void = () => {};
  readonly #counters = new Map<string, HeldCounter>();
  readonly #setsByName = new Map<string, SessionLimitSet>();
  readonly #sets = new WeakMap<AppliedLimits, SessionLimitSet>();
  #inDoubt = 0;
  #logHeardAtMs = 0;

  constructor(id: Id<"gws">, openedAtMs: number) {
    this.id = id;
    this.openedAtMs = openedAtMs;
  }

  /** All counters that requests of the session have counted on. */
  get counters(): Iterable<HeldCounter> {
    return this.#counters.values();
  }

  isUsable(nowMs: number): boolean {
    return !this.isLeft && nowMs < this.expiresAtMs;
  }

  counterOf(bindingId: string): readonly HeldCounter[] {
    const dimensions = ["money", "requests", "tokens", "concurrent"] as const;
    return dimensions.flatMap((dimension) => this.#counters.get(`${bindingId} ${dimension}`) ?? []);
  }

  /** True if the session takes no further limit set. */
  get isFull(): boolean {
    return this.#setsByName.size >= MAX_LIMIT_SETS;
  }

  /**
   * Limit set of these limits; equal counters have one number. Undefined if the session is full. If a limit was edited, the free part of
   * what was granted under its former terms is given back.
   */
  setOf(limits: AppliedLimits, namespaceId: Id<"ns">): SessionLimitSet | undefined {
    const known = this.#sets.get(limits);
    if (known !== undefined) return known;
    const named = this.#setsByName.get(limits.name);
    if (named === undefined && this.isFull) return undefined;
    const set = named ?? this.#createSet(limits, namespaceId);
    this.#setsByName.set(limits.name, set);
    this.#sets.set(limits, set);
    for (const [index, counter] of set.counters.entries()) giveBackIfEdited(counter, limits.limits[index]?.terms ?? "");
    return set;
  }

  /** Notes that a request was admitted whose admission the log has not acknowledged. */
  startDoubt(nowMs: number): void {
    if (this.#inDoubt++ === 0) this.#logHeardAtMs = nowMs;
  }

  endDoubt(reservation: SliceReservation, nowMs: number): void {
    if (!reservation.isInDoubt) return;
    reservation.acknowledgeAdmission();
    this.#inDoubt--;
    this.#logHeardAtMs = nowMs;
    this.onAcknowledged();
  }

  /** True if the log has acknowledged nothing for a while, although something waits for it. */
  isLogSilent(nowMs: number): boolean {
    return this.#inDoubt > 0 && nowMs - this.#logHeardAtMs > LOG_SILENT_MS;
  }

  #createSet({ limits }: AppliedLimits, namespaceId: Id<"ns">): SessionLimitSet {
    const counters = limits.map(({ bindingId, dimension, terms }) => {
      const name = `${bindingId} ${dimension}`;
      const known = this.#counters.get(name);
      if (known !== undefined) return known;
      const isStanding = dimension === "money" || dimension === "concurrent";
      const slice = isStanding ? new StandingSlice(bindingId, dimension) : new RateSlices(bindingId, dimension);
      const counter = {
        slice,
        namespaceId,
        appetite: new Appetite(),
        terms,
        usedAtMs: Number.NEGATIVE_INFINITY,
        idleMs: 0,
        hasReturns: false,
        recalledUntilMs: 0,
      };
      this.#counters.set(name, counter);
      return counter;
    });
    const standing = (dimension: "money" | "concurrent") =>
      counters.flatMap(({ slice }) => (slice instanceof StandingSlice && slice.dimension === dimension ? [slice] : []));
    const rates = (dimension: "requests" | "tokens") =>
      counters.flatMap(({ slice }) => (slice instanceof RateSlices && slice.dimension === dimension ? [slice] : []));
    const set = new LimitSet({
      money: standing("money"),
      slots: standing("concurrent"),
      requests: rates("requests"),
      tokens: rates("tokens"),
    });
    const number = this.#setsByName.size + 1;
    return {
      number,
      namespaceId,
      set,
      counters,
      isConfirmed: false,
      batchMax: Number.POSITIVE_INFINITY,
      centralUntilMs: Number.NEGATIVE_INFINITY,
      lookedAtMs: Number.NEGATIVE_INFINITY,
      requestsSince: 0,
      tightest: { money: undefined, requests: undefined, tokens: undefined },
    };
  }
}

/** Gives back what is free of a counter if its limit was edited since. The next call tells the policy service. */
function giveBackIfEdited(counter: HeldCounter, terms: string): void {
  if (counter.terms === terms) return;
  counter.terms = terms;
  const { slice } = counter;
  if (slice instanceof RateSlices) return slice.expireAll();
  const returned = slice.giveBack(slice.free);
  counter.hasReturns ||= returned > 0;
}
