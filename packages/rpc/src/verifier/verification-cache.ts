import type { Clock, DomainError } from "@routeplane/domain";
import type { Principal } from "../principal.ts";
import { SubjectIndex } from "./subjects.ts";

/** Principal of a token, or the error for which the token is refused. */
export type VerificationResult = { readonly principal: Principal } | { readonly refusal: DomainError };

export interface VerificationCacheOptions {
  /** Maximum number of principals, and of refusals; the least recently used one is evicted. */
  readonly capacity: number;
  readonly clock: Clock;
  readonly monotonic: () => number;
}

interface CachedPrincipal {
  readonly result: { readonly principal: Principal };
  /** Monotonic time: setting the wall clock back prolongs nothing. */
  readonly expiresAt: number;
}

interface CachedRefusal {
  readonly result: { readonly refusal: DomainError };
  readonly expiresAt: number;
}

/** Time to live of a principal, however well the feed works. Also the most by which `last_used_at` lags behind. */
const PRINCIPAL_TTL_MS = 30_000;
const REFUSAL_TTL_MS = 1_000;

/**
 * Two LRU caches of verification results, for principals and for refusals, keyed by the SHA-256 digest of the token. The time to
 * live of an entry counts from the start of its verification; neither use nor other entries prolong it.
 */
export class VerificationCache {
  readonly #principals = new Map<string, CachedPrincipal>();
  readonly #refusals = new Map<string, CachedRefusal>();
  readonly #bySubject = new SubjectIndex<string>();
  readonly #options: VerificationCacheOptions;

  constructor(options: VerificationCacheOptions) {
    this.#options = options;
  }

  find(digest: string): VerificationResult | undefined {
    const now = this.#options.monotonic();
    const cached = this.#principals.get(digest);
    if (cached !== undefined) {
      const { result, expiresAt } = cached;
      if (now >= expiresAt || isExpired(result.principal, this.#options.clock())) {
        this.#removePrincipal(digest, result.principal);
        return undefined;
      }
      this.#principals.delete(digest);
      this.#principals.set(digest, cached);
      return result;
    }
    const refusal = this.#refusals.get(digest);
    if (refusal === undefined) return undefined;
    if (now < refusal.expiresAt) return refusal.result;
    this.#refusals.delete(digest);
    return undefined;
  }

  /** @param startedAt monotonic time at which the verification began */
  add(digest: string, result: VerificationResult, startedAt: number): void {
    if ("refusal" in result) this.#addRefusal(digest, { result, expiresAt: startedAt + REFUSAL_TTL_MS });
    else this.#addPrincipal(digest, result, startedAt + PRINCIPAL_TTL_MS);
  }

  /** Removes the principals that depend on a subject, and all refusals, because they name no subject. */
  invalidate(subjectId: string): void {
    this.#refusals.clear();
    for (const digest of this.#bySubject.itemsOf(subjectId)) {
      const cached = this.#principals.get(digest);
      if (cached !== undefined) this.#removePrincipal(digest, cached.result.principal);
    }
  }

  clear(): void {
    this.#principals.clear();
    this.#refusals.clear();
    this.#bySubject.clear();
  }

  #addPrincipal(digest: string, result: CachedPrincipal["result"], latestExpiry: number): void {
    const { clock, monotonic, capacity } = this.#options;
    const expiry = expiryOf(result.principal);
    const credentialExpiry = expiry === undefined ? Infinity : monotonic() + expiry - clock();
    this.#refusals.delete(digest);
    this.#principals.set(digest, { result, expiresAt: Math.min(latestExpiry, credentialExpiry) });
    this.#bySubject.add(digest, result.principal);
    if (this.#principals.size <= capacity) return;
    const [oldest] = this.#principals;
    if (oldest !== undefined) this.#removePrincipal(oldest[0], oldest[1].result.principal);
  }

  #addRefusal(digest: string, refusal: CachedRefusal): void {
    this.#refusals.delete(digest);
    this.#refusals.set(digest, refusal);
    if (this.#refusals.size <= this.#options.capacity) return;
    const [oldest] = this.#refusals.keys();
    if (oldest !== undefined) this.#refusals.delete(oldest);
  }

  #removePrincipal(digest: string, principal: Principal): void {
    this.#principals.delete(digest);
    this.#bySubject.remove(digest, principal);
  }
}

/** Milliseconds since the epoch; undefined if the credential never expires. */
function expiryOf(principal: Principal): number | undefined {
  return principal.kind === "service" ? undefined : principal.expiresAt?.getTime();
}

/** True from the very millisecond of the expiry. */
export function isExpired(principal: Principal, now: number): boolean {
  const expiry = expiryOf(principal);
  return expiry !== undefined && expiry <= now;
}
