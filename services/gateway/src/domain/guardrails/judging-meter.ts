import { MAX_STEPS, type WorkMeter } from "@routeplane/guardrails";
import type { CallingKey } from "../ports/key-verifier.ts";

/**
 * Steps of judging content in a second that this gateway gives to a root key and all keys below it: some fifth of a core. What
 * they do not use is saved up, enough for one request that takes as much as a request may.
 */
export const STEPS_PER_SECOND = 40_000_000;
const MAX_SAVED_STEPS = MAX_STEPS;
/** A key below the root key may take this part of what its tree may, so that it leaves something to the others. */
const SHARE_OF_A_SUB_KEY = 0.5;
/** Principals that are remembered; those that have not called for longest are forgotten, and begin anew. */
const MAX_BUCKETS = 10_000;

/** A token bucket of steps. */
interface Bucket {
  readonly stepsPerMs: number;
  /** Below 0 if more was taken than there was. */
  steps: number;
  refilledAtMs: number;
}

/**
 * Meters the judging of content by key and second. Sub-keys are minted freely, so a tree of keys has one budget, however many
 * it has; and each sub-key at most half of it. Judging comes before the rate limits of policies: this bounds what a key can
 * make a gateway do that is refused there.
 */
export class JudgingMeter {
  readonly #buckets = new Map<string, Bucket>();
  readonly #nowMs: () => number;

  /** @param nowMs a clock that never steps back */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** The budget of one request. */
  shareOf({ keyId, lineage }: Pick<CallingKey, "keyId" | "lineage">): JudgingShare {
    const [root = keyId] = lineage;
    const buckets = [this.#bucketOf(root, STEPS_PER_SECOND)];
    if (root !== keyId) buckets.push(this.#bucketOf(keyId, STEPS_PER_SECOND * SHARE_OF_A_SUB_KEY));
    refill(buckets, this.#nowMs());
    return new JudgingShare(buckets, this.#nowMs);
  }

  #bucketOf(id: string, stepsPerSecond: number): Bucket {
    const known = this.#buckets.get(id);
    const bucket = known ?? {
      stepsPerMs: stepsPerSecond / 1_000,
      steps: MAX_SAVED_STEPS,
      refilledAtMs: this.#nowMs(),
    };
    // The order of a map is that of insertion: the first one has not been used for longest.
    this.#buckets.delete(id);
    this.#buckets.set(id, bucket);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > MAX_BUCKETS && oldest !== undefined) this.#buckets.delete(oldest);
    return bucket;
  }
}

/** Meter of the work that one request takes from the budgets that apply to it. */
export class JudgingShare implements WorkMeter {
  readonly #buckets: readonly Bucket[];
  readonly #nowMs: () => number;
  #used = 0;

  constructor(buckets: readonly Bucket[], nowMs: () => number) {
    this.#buckets = buckets;
    this.#nowMs = nowMs;
  }

  spend(steps: number): void {
    this.#used += steps;
    for (const bucket of this.#buckets) bucket.steps -= steps;
  }

  get isExhausted(): boolean {
    refill(this.#buckets, this.#nowMs());
    return this.#buckets.some(({ steps }) => steps <= 0);
  }

  /**
   * How long to wait until the request is worth sending again. One that was stopped half-way needs more than it used: twice as
   * much, so that it gets through after a few attempts.
   */
  get waitMs(): number {
    refill(this.#buckets, this.#nowMs());
    const needed = Math.min(MAX_SAVED_STEPS, 2 * this.#used);
    return Math.max(0, ...this.#buckets.map(({ steps, stepsPerMs }) => (needed - steps) / stepsPerMs));
  }

  /** The same budgets for work that is never stopped: an answer has been paid for. */
  get unstopped(): WorkMeter {
    return { spend: (steps) => this.spend(steps), isExhausted: false };
  }
}

function refill(buckets: readonly Bucket[], nowMs: number): void {
  for (const bucket of buckets) {
    const refilled = bucket.steps + (nowMs - bucket.refilledAtMs) * bucket.stepsPerMs;
    bucket.steps = Math.min(MAX_SAVED_STEPS, refilled);
    bucket.refilledAtMs = nowMs;
  }
}
