import { DomainError } from "@routeplane/domain";
import type { Principal, VerifiedPrincipal } from "../principal.ts";

/** Rate limit of each credential in each process: sustained calls a second, and the size of a burst. */
export const CALL_RATE = { perSecond: 200, burst: 1_000 } as const;
/** Rate limit of a service credential, whose service calls on behalf of all its own callers. */
export const SERVICE_CALL_RATE = { perSecond: 2_000, burst: 4_000 } as const;
/** Maximum number of buckets; the least recently used one is evicted. */
const MAX_CREDENTIALS = 20_000;

interface Bucket {
  tokens: number;
  refilledAt: number;
}

/**
 * Token bucket of each credential: a call takes a token, and tokens are refilled continuously. Every service counts by itself, both relayed
 * and direct calls, so no credential can exhaust a service. Calls of the node's services are not counted.
 */
export class CallRate {
  readonly #buckets = new Map<string, Bucket>();
  readonly #monotonic: () => number;

  constructor(monotonic: () => number = () => performance.now()) {
    this.#monotonic = monotonic;
  }

  /** Counts a call. @throws DomainError RESOURCE_EXHAUSTED with metadata `retry_after`, in seconds */
  take(principal: Principal | undefined): void {
    if (principal === undefined || principal.kind === "internal") return;
    const id = idOf(principal);
    const rate = principal.kind === "service" ? SERVICE_CALL_RATE : CALL_RATE;
    const now = this.#monotonic();
    const { tokens, refilledAt } = this.#buckets.get(id) ?? { tokens: rate.burst, refilledAt: now };
    const available = Math.min(rate.burst, tokens + ((now - refilledAt) / 1_000) * rate.perSecond);
    const isAllowed = available >= 1;
    this.#buckets.delete(id);
    this.#buckets.set(id, { tokens: isAllowed ? available - 1 : available, refilledAt: now });
    if (this.#buckets.size > MAX_CREDENTIALS) this.#evictOldest();
    if (!isAllowed) throw tooManyCalls(rate);
  }

  #evictOldest(): void {
    for (const id of this.#buckets.keys()) {
      this.#buckets.delete(id);
      return;
    }
  }
}

function idOf(principal: VerifiedPrincipal): string {
  switch (principal.kind) {
    case "key":
      return principal.keyId;
    case "operator":
      return principal.operatorId;
    case "service":
      return principal.serviceCredentialId;
  }
}

function tooManyCalls({ perSecond, burst }: typeof CALL_RATE | typeof SERVICE_CALL_RATE): DomainError {
  const message = `this credential makes more than ${perSecond} calls a second (${burst} at once); try again in 1 s`;
  return new DomainError("resource_exhausted", "RATE_LIMITED", message, { metadata: { retry_after: "1" } });
}
