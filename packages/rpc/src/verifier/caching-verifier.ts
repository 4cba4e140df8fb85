import { hash } from "node:crypto";
import { parseToken } from "@routeplane/credentials";
import { type Clock, DomainError } from "@routeplane/domain";
import type { VerifiedPrincipal, VerifyToken } from "../principal.ts";
import { ConcurrentChanges } from "./subjects.ts";
import { VerificationCache, type VerificationResult } from "./verification-cache.ts";

export interface CachingVerifierOptions {
  /** Verifies a token at its source: a call to the auth service, or in that service a query. */
  readonly verifyUncached: VerifyToken;
  /** True while the change feed is live: every change is known, except those of the last moment. */
  readonly isLive: () => boolean;
  /** Bound of the memory of cached results. 16 MiB by default, which is about 15,000 keys. */
  readonly maxBytes?: number;
  /** Time to live of a cached principal, however well the feed works. 15 minutes by default. */
  readonly maxAgeMs?: number;
  /** `Date.now` by default. */
  readonly clock?: Clock;
  /** `performance.now` by default. */
  readonly monotonic?: () => number;
}

/** A verification at the source that has not ended, and the monotonic time at which it began. */
interface VerificationInFlight {
  readonly startedAt: number;
  readonly result: Promise<VerificationResult>;
}

/**
 * Age from which a principal that is used is verified again in the background, at most `MAX_REFRESHES_PER_SECOND` times a second: the auth
 * service then records that keys are in use (`last_used_at`), with a bounded load for any number of keys.
 */
const REFRESH_AGE_MS = 30_000;
const MAX_REFRESHES_PER_SECOND = 20;

/** Maximum attempts at a verification during which changes arrive. More than two are rarely needed. */
const MAX_ATTEMPTS = 5;

const MALFORMED: VerificationResult = {
  refusal: new DomainError("unauthenticated", "CREDENTIAL_INVALID", "invalid API key"),
};

/**
 * Verification of tokens with a cache and single-flight, on the path of every call and every inference request.
 *
 * Steps of a verification: (1) while the feed is live, return the cached result, and verify an older one again in the background; (2)
 * otherwise join the call that is in flight for the same token; (3) refuse a malformed token by its checksum; (4) verify it at the source,
 * and once more if a change that concerns the principal arrived meanwhile; (5) cache the result if the feed was live from before the call
 * until after it.
 *
 * Concurrency: a change that arrives during a call is recorded in a `ConcurrentChanges`, so a result from before the change is
 * neither returned nor cached. Between the last comparison and the return there is no `await`.
 *
 * Failure: while the feed is not live, every token is verified at the source; if that fails, so does the verification
 * (UNAVAILABLE). No stale result is returned.
 */
export class CachingVerifier {
  readonly #verifyUncached: VerifyToken;
  readonly #isLive: () => boolean;
  readonly #monotonic: () => number;
  readonly #cache: VerificationCache;
  readonly #concurrentChanges = new Set<ConcurrentChanges>();
  readonly #inFlight = new Map<string, VerificationInFlight>();
  #refreshes = { since: -Infinity, count: 0 };

  constructor(options: CachingVerifierOptions) {
    const { maxBytes = 16 * 1024 ** 2, maxAgeMs = 15 * 60_000 } = options;
    const { clock = Date.now, monotonic = () => performance.now() } = options;
    this.#verifyUncached = options.verifyUncached;
    this.#isLive = options.isLive;
    this.#monotonic = monotonic;
    this.#cache = new VerificationCache({ maxBytes, maxAgeMs, clock, monotonic });
  }

  /** Estimated memory of the cached results. */
  get cacheBytes(): number {
    return this.#cache.bytes;
  }

  /** Verifies a token. Rejects with a DomainError UNAVAILABLE if the source cannot be reached. */
  verify(token: string): VerificationResult | Promise<VerificationResult> {
    return this.#verify(digestOf(token), token);
  }

  /**
   * Verifies a token and calls `subscribe` synchronously with its principal: no change can go unnoticed in between. `subscribe`
   * also gets the monotonic time at which the verification began, which is how old the result can be while the feed is lost.
   *
   * @returns the result of `subscribe`; a promise of it where the token is not cached
   * @throws as a `VerifyToken`
   */
  verifyAndSubscribe<T>(
    token: string,
    subscribe: (digest: string, principal: VerifiedPrincipal, verifiedAt: number) => T,
  ): T | Promise<T> {
    const digest = digestOf(token);
    const startedAt = this.#inFlight.get(digest)?.startedAt ?? this.#monotonic();
    const known = this.#verify(digest, token);
    // A cached result is subscribed to in the turn in which it is found: no change comes in between.
    if (!(known instanceof Promise)) return subscribe(digest, requirePrincipal(known), startedAt);
    return this.#awaitAndSubscribe(digest, token, subscribe);
  }

  async #awaitAndSubscribe<T>(
    digest: string,
    token: string,
    subscribe: (digest: string, principal: VerifiedPrincipal, verifiedAt: number) => T,
  ): Promise<T> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      // A change may arrive after the result is known and before this function resumes.
      const changes = this.#recordChanges();
      const verifiedAt = this.#inFlight.get(digest)?.startedAt ?? this.#monotonic();
      try {
        const principal = requirePrincipal(await this.#verify(digest, token));
        if (!changes.concern(principal)) return subscribe(digest, principal, verifiedAt);
      } finally {
        this.#concurrentChanges.delete(changes);
      }
    }
    throw overtaken();
  }

  /** Invalidates the results that depend on a subject (a key, namespace, operator or account) because it changed. */
  invalidate(subjectId: string): void {
    this.#cache.invalidate(subjectId);
    for (const changes of this.#concurrentChanges) changes.add(subjectId);
  }

  /** Invalidates all results because changes were missed. */
  invalidateAll(): void {
    this.#cache.clear();
    for (const changes of this.#concurrentChanges) changes.addGap();
  }

  #verify(digest: string, token: string): VerificationResult | Promise<VerificationResult> {
    const cached = this.#isLive() ? this.#cache.find(digest) : undefined;
    if (cached !== undefined) {
      if ("verifiedAt" in cached) this.#refresh(digest, token, cached.verifiedAt);
      return cached.result;
    }
    const inFlight = this.#inFlight.get(digest);
    if (inFlight !== undefined) return inFlight.result;
    if (parseToken(token) === undefined) return MALFORMED;
    return this.#startVerification(digest, token);
  }

  /** Verifies a principal older than `REFRESH_AGE_MS` again, up to the limit per second. Meanwhile the cached principal is used. */
  #refresh(digest: string, token: string, verifiedAt: number): void {
    const now = this.#monotonic();
    if (now - verifiedAt < REFRESH_AGE_MS || this.#inFlight.has(digest)) return;
    if (now - this.#refreshes.since >= 1_000) this.#refreshes = { since: now, count: 0 };
    if (this.#refreshes.count >= MAX_REFRESHES_PER_SECOND) return;
    this.#refreshes.count++;
    // Failures need no handling: the cached result stays valid, and the next use tries again.
    this.#startVerification(digest, token).catch(() => {});
  }

  #startVerification(digest: string, token: string): Promise<VerificationResult> {
    const startedAt = this.#monotonic();
    const result = this.#verifyAtSource(digest, token).finally(() => this.#inFlight.delete(digest));
    this.#inFlight.set(digest, { startedAt, result });
    return result;
  }

  async #verifyAtSource(digest: string, token: string): Promise<VerificationResult> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const startedAt = this.#monotonic();
      const wasLive = this.#isLive();
      const changes = this.#recordChanges();
      try {
        const result = await verificationResultOf(this.#verifyUncached, token);
        // A refusal names no subject: any change may have ended it.
        const isCurrent = "refusal" in result ? changes.isEmpty : !changes.concern(result.principal);
        if (!isCurrent && "principal" in result) continue;
        if (isCurrent && wasLive && this.#isLive()) this.#cache.add(digest, result, startedAt);
        return result;
      } finally {
        this.#concurrentChanges.delete(changes);
      }
    }
    throw overtaken();
  }

  #recordChanges(): ConcurrentChanges {
    const changes = new ConcurrentChanges();
    this.#concurrentChanges.add(changes);
    return changes;
  }
}

/** Verifies a token, with a refusal as a value. Rejects with any other error. */
export async function verificationResultOf(verifyToken: VerifyToken, token: string): Promise<VerificationResult> {
  try {
    return { principal: await verifyToken(token) };
  } catch (error) {
    if (error instanceof DomainError && error.code === "unauthenticated") return { refusal: error };
    throw error;
  }
}

/** Principal of a result. @throws DomainError UNAUTHENTICATED for a refusal */
export function requirePrincipal(result: VerificationResult): VerifiedPrincipal {
  if ("refusal" in result) throw result.refusal;
  return result.principal;
}

/**
 * Digests of the tokens that were presented last, those of subscribed tokens among them. A digest takes 0.5 us, but 5 us among all other
 * work of a request, 1 % of it. Bounded in number and length: tokens are not checked yet.
 */
const recentDigests = new Map<string, string>();
const MAX_RECENT_DIGESTS = 256;
/** Length of the longest token that is kept; those of this product have some 80 characters. */
const MAX_RECENT_CHARS = 128;

function digestOf(token: string): string {
  const known = recentDigests.get(token);
  if (known !== undefined) return known;
  const digest = hash("sha256", token, "base64");
  if (token.length > MAX_RECENT_CHARS) return digest;
  if (recentDigests.size === MAX_RECENT_DIGESTS) recentDigests.clear();
  recentDigests.set(token, digest);
  return digest;
}

function overtaken(): DomainError {
  const message = "this API key changes faster than it can be verified; try again";
  return new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, { metadata: { dependency: "auth" } });
}
