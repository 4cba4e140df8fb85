import { MAX_STEPS, type WorkMeter } from "@routeplane/guardrails";
import type { CallingKey } from "../ports/key-verifier.ts";

/**
 * Steps per second of judging content that this gateway spends on a root key and all keys below it: about a fifth of a core.
 * Unused steps are saved, up to those of one request of maximal cost.
 */
export const STEPS_PER_SECOND = 40_000_000;
const MAX_SAVED_STEPS = MAX_STEPS;
/** Part of the budget of a root key that one of its sub-keys can use, so that the other keys always have a part. */
const SUB_KEY_SHARE = 0.5;
/** Bound of the buckets. Beyond it the least recently used one is dropped; its key starts again with a full one. */
const MAX_BUCKETS = 10_000;

/** Token bucket of steps. */
interface Bucket {
  readonly stepsPerMs: number;
  /** Steps that are left; negative if more were spent than there were. */
  steps: number;
  refilledAtMs: number;
}

/**
 * Rate limit of judging content, by key. Sub-keys are free to mint, so a root key and all its sub-keys have one budget, of which
 * each sub-key can use half. Judging precedes the rate limits of policies: this bounds the work for requests that those refuse.
 */
export class JudgingMeter {
  readonly #buckets = new Map<string, Bucket>();
  readonly #nowMs: () => number;

  /** @param nowMs monotonic clock, in milliseconds */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** Opens the budget of one request of a key. */
  shareOf({ keyId, lineage }: Pick<CallingKey, "keyId" | "lineage">): JudgingShare {
    const [root = keyId] = lineage;
    const buckets = [this.#bucketOf(root, STEPS_PER_SECOND)];
    if (root !== keyId) buckets.push(this.#bucketOf(keyId, STEPS_PER_SECOND * SUB_KEY_SHARE));
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
    // A map keeps the order of insertion: its first entry is the least recently used one.
    this.#buckets.delete(id);
    this.#buckets.set(id, bucket);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > MAX_BUCKETS && oldest !== undefined) this.#buckets.delete(oldest);
    return bucket;
  }
}

/** Meter of the work of one request, which it takes from the buckets of its key and of its root key. */
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
   * Milliseconds until the request is worth sending again. One that was stopped needs more than it used: twice as much, so that
   * it succeeds after a few attempts.
   */
  get waitMs(): number {
    refill(this.#buckets, this.#nowMs());
    const needed = Math.min(MAX_SAVED_STEPS, 2 * this.#used);
    return Math.max(0, ...this.#buckets.map(({ steps, stepsPerMs }) => (needed - steps) / stepsPerMs));
  }

  /** Meter of the same buckets for work that is never stopped: an answer is charged whether or not it is judged. */
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
