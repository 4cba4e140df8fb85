import { MAX_ATTEMPTS } from "@routeplane/domain";
import type { AttemptOutcome } from "./attempt-outcome.ts";
import { backOffMs, MAX_WAIT_MS } from "./back-off.ts";
import type { CallPermit } from "./circuit.ts";
import type { ModelHealth } from "./upstream-health.ts";

/** Model that a request may go to. */
export interface Hop {
  readonly health: ModelHealth;
  /** Attempts at it beyond the first one. */
  readonly retries: number;
  /** Place of its group in the order: 0 for the deployments of the requested model, then one for each fallback. */
  readonly group: number;
}

/** Attempt that is to be made next. */
export interface NextAttempt<T extends Hop> {
  readonly hop: T;
  /** Wait before it. */
  readonly waitMs: number;
}

export interface AttemptPlanOptions {
  /** Monotonic clock in milliseconds. */
  readonly clock?: () => number;
  /** Returns a number from 0, inclusive, to 1, exclusive. */
  readonly random?: () => number;
}

/**
 * Order of the attempts of one request: the hops of a group one after the other, then those of them once more that have retries left, then
 * the next group. A hop whose circuit is open, or whose upstream asked for a wait, is passed over; if all are, the first one is called
 * all the same, because a gateway refuses nothing on a guess. A further attempt at a provider is taken from its retry budget.
 */
export class AttemptPlan<T extends Hop> {
  readonly #hops: readonly T[];
  readonly #clock: () => number;
  readonly #random: () => number;
  /** Failed attempts at each hop, and the monotonic time before which it is not to be called again. */
  readonly #failed = new Map<T, { readonly attempts: number; readonly notBefore: number }>();
  readonly #providers = new Set<string>();
  #attempts = 0;
  #running: { readonly hop: T; readonly permit: CallPermit } | undefined;

  /** @param hops in order, at least one */
  constructor(hops: readonly T[], { clock = () => performance.now(), random = Math.random }: AttemptPlanOptions = {}) {
    this.#hops = hops;
    this.#clock = clock;
    this.#random = random;
  }

  /** Hop of the first attempt. */
  first(): T {
    const hop = this.#hops.find(({ health }) => health.isAvailable) ?? this.#hops[0];
    if (hop === undefined) throw new Error("a request has no model to go to");
    return hop;
  }

  /** Begins an attempt. */
  begin(hop: T): void {
    const { health } = hop;
    const isFirst = !this.#providers.has(health.provider);
    this.#providers.add(health.provider);
    this.#attempts++;
    this.#running = { hop, permit: isFirst ? health.begin() : health.beginAgain() };
  }

  /** True if another attempt may follow the running one, should it fail. */
  get mayGoOn(): boolean {
    const running = this.#running?.hop;
    if (running === undefined || this.#attempts >= MAX_ATTEMPTS) return false;
    return this.#hops.some((hop) => {
      if (hop === running) return (this.#failed.get(hop)?.attempts ?? 0) < hop.retries;
      return hop.group >= running.group && this.#waitFor(hop) !== undefined;
    });
  }

  /** Ends the running attempt. @returns the one to make next; undefined if its outcome is that of the request */
  end(outcome: AttemptOutcome): NextAttempt<T> | undefined {
    const running = this.#running;
    if (running === undefined) throw new Error("no attempt is running");
    const { hop, permit } = running;
    this.#running = undefined;
    hop.health.end(permit, outcome);
    if (!outcome.canTryAgain || this.#attempts >= MAX_ATTEMPTS) return undefined;
    const attempts = (this.#failed.get(hop)?.attempts ?? 0) + 1;
    const notBefore = this.#clock() + backOffMs(attempts, outcome.retryAfterMs, this.#random());
    this.#failed.set(hop, { attempts, notBefore });
    return this.#next(hop.group);
  }

  #next(group: number): NextAttempt<T> | undefined {
    const ofGroup = this.#hops.filter((hop) => hop.group === group);
    const candidates = [
      ...ofGroup.filter((hop) => !this.#failed.has(hop)),
      ...ofGroup.filter((hop) => this.#failed.has(hop)),
      ...this.#hops.filter((hop) => hop.group > group),
    ];
    for (const hop of candidates) {
      const waitMs = this.#waitFor(hop);
      if (waitMs === undefined) continue;
      if (!this.#providers.has(hop.health.provider) || hop.health.tryTakeRetry()) return { hop, waitMs };
    }
    return undefined;
  }

  /** Wait before an attempt at a hop; undefined if none is to be made. */
  #waitFor(hop: T): number | undefined {
    const { health, retries } = hop;
    const failed = this.#failed.get(hop);
    if (failed === undefined) return health.isAvailable ? 0 : undefined;
    if (health.isOpen || failed.attempts > retries) return undefined;
    const waitMs = Math.max(0, failed.notBefore - this.#clock());
    return waitMs > MAX_WAIT_MS ? undefined : waitMs;
  }
}
