import type { Clock, DomainError } from "@routeplane/domain";
import type { Principal } from "../principal.ts";
import { SubjectIndex } from "./subjects.ts";

/** Whom a token belongs to, or why it is refused. */
export type VerificationResult = { readonly principal: Principal } | { readonly refusal: DomainError };

export interface VerificationCacheOptions {
  /** Entries of each kind; those not used for longest go first. */
  readonly capacity: number;
  readonly clock: Clock;
  readonly monotonic: () => number;
}

interface Positive {
  readonly answer: { readonly principal: Principal };
  /** By the monotonic clock: a wall clock that is put back prolongs nothing. */
  readonly until: number;
}

interface Negative {
  readonly answer: { readonly refusal: DomainError };
  readonly until: number;
}

/** However well the feed works: no answer is older. Also how far `last_used_at` may lag behind. */
const POSITIVE_MS = 30_000;
const NEGATIVE_MS = 1_000;

/**
 * Answers about tokens, good and bad ones apart, by the full SHA-256 digest of the token. An entry lives from the moment at
 * which its question was asked; no use of it and no other entry prolongs that.
 */
export class VerificationCache {
  readonly #positives = new Map<string, Positive>();
  readonly #negatives = new Map<string, Negative>();
  readonly #bySubject = new SubjectIndex<string>();
  readonly #options: VerificationCacheOptions;

  constructor(options: VerificationCacheOptions) {
    this.#options = options;
  }

  find(digest: string): VerificationResult | undefined {
    const now = this.#options.monotonic();
    const positive = this.#positives.get(digest);
    if (positive !== undefined) {
      const { answer, until } = positive;
      if (now >= until || isExpired(answer.principal, this.#options.clock())) {
        this.#forget(digest, answer.principal);
        return undefined;
      }
      this.#positives.delete(digest);
      this.#positives.set(digest, positive);
      return answer;
    }
    const negative = this.#negatives.get(digest);
    if (negative === undefined) return undefined;
    if (now < negative.until) return negative.answer;
    this.#negatives.delete(digest);
    return undefined;
  }

  /** @param askedAt by the monotonic clock */
  keep(digest: string, answer: VerificationResult, askedAt: number): void {
    if ("refusal" in answer) this.#keepRefusal(digest, { answer, until: askedAt + NEGATIVE_MS });
    else this.#keepPrincipal(digest, answer, askedAt + POSITIVE_MS);
  }

  /** Forgets every good answer that depends on the subject; and all bad ones, which name none. */
  invalidate(subject: string): void {
    this.#negatives.clear();
    for (const digest of this.#bySubject.of(subject)) {
      const positive = this.#positives.get(digest);
      if (positive !== undefined) this.#forget(digest, positive.answer.principal);
    }
  }

  clear(): void {
    this.#positives.clear();
    this.#negatives.clear();
    this.#bySubject.clear();
  }

  #keepPrincipal(digest: string, answer: Positive["answer"], longest: number): void {
    const { clock, monotonic, capacity } = this.#options;
    const expiry = expiryOf(answer.principal);
    const untilExpiry = expiry === undefined ? Infinity : monotonic() + expiry - clock();
    this.#negatives.delete(digest);
    this.#positives.set(digest, { answer, until: Math.min(longest, untilExpiry) });
    this.#bySubject.add(digest, answer.principal);
    if (this.#positives.size <= capacity) return;
    const [oldest] = this.#positives;
    if (oldest !== undefined) this.#forget(oldest[0], oldest[1].answer.principal);
  }

  #keepRefusal(digest: string, negative: Negative): void {
    this.#negatives.delete(digest);
    this.#negatives.set(digest, negative);
    if (this.#negatives.size <= this.#options.capacity) return;
    const [oldest] = this.#negatives.keys();
    if (oldest !== undefined) this.#negatives.delete(oldest);
  }

  #forget(digest: string, principal: Principal): void {
    this.#positives.delete(digest);
    this.#bySubject.remove(digest, principal);
  }
}

/** Milliseconds since the epoch; undefined: never. */
function expiryOf(principal: Principal): number | undefined {
  return principal.kind === "service" ? undefined : principal.expiresAt?.getTime();
}

/** From the moment of its expiry on. */
export function isExpired(principal: Principal, now: number): boolean {
  const expiry = expiryOf(principal);
  return expiry !== undefined && expiry <= now;
}
