import type { Clock, DomainError } from "@routeplane/domain";
import type { Principal } from "../principal.ts";
import { SubjectIndex } from "./subjects.ts";

export interface VerificationCacheOptions {
  /** Entries of each kind; those not used for longest go first. */
  readonly capacity: number;
  readonly clock: Clock;
  readonly monotonic: () => number;
}

interface Positive {
  readonly principal: Principal;
  /** By the monotonic clock: a wall clock that is put back prolongs nothing. */
  readonly until: number;
}

interface Negative {
  readonly refusal: DomainError;
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

  find(digest: string): { readonly principal: Principal } | { readonly refusal: DomainError } | undefined {
    const now = this.#options.monotonic();
    const positive = this.#positives.get(digest);
    if (positive !== undefined) {
      const { principal, until } = positive;
      if (now >= until || isExpired(principal, this.#options.clock())) {
        this.#forget(digest, principal);
        return undefined;
      }
      this.#positives.delete(digest);
      this.#positives.set(digest, positive);
      return positive;
    }
    const negative = this.#negatives.get(digest);
    if (negative === undefined) return undefined;
    if (now < negative.until) return negative;
    this.#negatives.delete(digest);
    return undefined;
  }

  /** @param askedAt by the monotonic clock */
  keep(digest: string, principal: Principal, askedAt: number): void {
    const { clock, monotonic, capacity } = this.#options;
    const expiry = expiryOf(principal);
    const untilExpiry = expiry === undefined ? Infinity : monotonic() + expiry - clock();
    this.#negatives.delete(digest);
    this.#positives.set(digest, { principal, until: Math.min(askedAt + POSITIVE_MS, untilExpiry) });
    this.#bySubject.add(digest, principal);
    if (this.#positives.size <= capacity) return;
    const [oldest] = this.#positives;
    if (oldest !== undefined) this.#forget(oldest[0], oldest[1].principal);
  }

  refuse(digest: string, refusal: DomainError, askedAt: number): void {
    this.#negatives.delete(digest);
    this.#negatives.set(digest, { refusal, until: askedAt + NEGATIVE_MS });
    if (this.#negatives.size <= this.#options.capacity) return;
    const [oldest] = this.#negatives.keys();
    if (oldest !== undefined) this.#negatives.delete(oldest);
  }

  /** Forgets every good answer that depends on the subject; and all bad ones, which name none. */
  drop(subject: string): void {
    this.#negatives.clear();
    for (const digest of this.#bySubject.of(subject)) {
      const positive = this.#positives.get(digest);
      if (positive !== undefined) this.#forget(digest, positive.principal);
    }
  }

  clear(): void {
    this.#positives.clear();
    this.#negatives.clear();
    this.#bySubject.clear();
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
