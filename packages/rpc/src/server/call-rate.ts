import { DomainError } from "@routeplane/domain";
import type { Principal } from "../principal.ts";

/** Rate limit of each credential in each process: sustained calls a second, and the size of a burst. */
export const CALL_RATE = { perSecond: 200, burst: 1_000 } as const;
/** Maximum number of buckets; the least recently used one is evicted. */
const MAX_CREDENTIALS = 20_000;

interface Bucket {
  tokens: number;
  refilledAt: number;
}

/**
 * Token bucket of each credential: a call takes a token, and tokens are refilled continuously. Every service counts by itself,
 * calls over the gateway and direct ones alike, so no credential can use a service up. Calls of services are not counted.
 */
export class CallRate {
  readonly #buckets = new Map<string, Bucket>();
  readonly #monotonic: () => number;

  constructor(monotonic: () => number = () => performance.now()) {
    this.#monotonic = monotonic;
  }

  /** Counts a call. @throws DomainError RESOURCE_EXHAUSTED with metadata `retry_after`, in seconds */
  take(principal: Principal | undefined): void {
    if (principal === undefined || principal.kind === "service") return;
    const id = principal.kind === "key" ? principal.keyId : principal.operatorId;
    const now = this.#monotonic();
    const { tokens, refilledAt } = this.#buckets.get(id) ?? { tokens: CALL_RATE.burst, refilledAt: now };
    const available = Math.min(CALL_RATE.burst, tokens + ((now - refilledAt) / 1_000) * CALL_RATE.perSecond);
    const isAllowed = available >= 1;
    this.#buckets.delete(id);
    this.#buckets.set(id, { tokens: isAllowed ? available - 1 : available, refilledAt: now });
    if (this.#buckets.size > MAX_CREDENTIALS) this.#evictOldest();
    if (!isAllowed) throw tooManyCalls();
  }

  #evictOldest(): void {
    for (const id of this.#buckets.keys()) {
      this.#buckets.delete(id);
      return;
    }
  }
}

function tooManyCalls(): DomainError {
  const { perSecond, burst } = CALL_RATE;
  const message = `this credential makes more than ${perSecond} management calls a second (${burst} at once); try again in 1 s`;
  return new DomainError("resource_exhausted", "RATE_LIMITED", message, { metadata: { retry_after: "1" } });
}
