import { DomainError } from "@routeplane/domain";
import type { Principal } from "../principal.ts";

/** Calls of one credential that a process takes: so many a second in the long run, and so many at once. */
export const CALL_RATE = { perSecond: 200, burst: 1_000 } as const;
/** Credentials whose calls are counted; the one that has not called for longest is forgotten first. */
const MAX_CREDENTIALS = 20_000;

interface Bucket {
  tokens: number;
  filledAt: number;
}

/**
 * Token bucket of each credential: a call takes a token, and tokens come back evenly. Held by every service by itself, whichever
 * way a call comes, so that no credential keeps a service from the others. Services are not counted.
 */
export class CallRate {
  readonly #buckets = new Map<string, Bucket>();
  readonly #monotonic: () => number;

  constructor(monotonic: () => number = () => performance.now()) {
    this.#monotonic = monotonic;
  }

  /** @throws DomainError RESOURCE_EXHAUSTED with metadata `retry_after`, in seconds */
  take(principal: Principal | undefined): void {
    if (principal === undefined || principal.kind === "service") return;
    const id = principal.kind === "key" ? principal.keyId : principal.operatorId;
    const now = this.#monotonic();
    const { tokens, filledAt } = this.#buckets.get(id) ?? { tokens: CALL_RATE.burst, filledAt: now };
    const filled = Math.min(CALL_RATE.burst, tokens + ((now - filledAt) / 1_000) * CALL_RATE.perSecond);
    const isAllowed = filled >= 1;
    this.#buckets.delete(id);
    this.#buckets.set(id, { tokens: isAllowed ? filled - 1 : filled, filledAt: now });
    if (this.#buckets.size > MAX_CREDENTIALS) this.#forgetOldest();
    if (!isAllowed) throw tooManyCalls();
  }

  #forgetOldest(): void {
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
