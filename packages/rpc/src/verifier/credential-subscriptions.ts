import { type Clock, DomainError } from "@routeplane/domain";
import type { SequenceTracker } from "../changes/sequence-tracker.ts";
import type { VerifiedPrincipal } from "../principal.ts";
import { MAX_STALE_MS, RECHECK_INTERVAL_MS } from "../staleness.ts";
import { SubjectIndex } from "./subjects.ts";
import { isExpired, monotonicExpiryOf } from "./verification-cache.ts";

/**
 * Called when the verification result of a subscribed token may have changed. Receives the principal as verified now, or the error
 * that invalidated the token: a refusal (UNAUTHENTICATED), or UNAVAILABLE once it could not be verified for `MAX_STALE_MS`. No
 * calls follow an error.
 */
export type CredentialListener = (outcome: VerifiedPrincipal | DomainError) => void;

export interface CredentialSubscriptionsOptions {
  readonly verify: (token: string) => Promise<VerifiedPrincipal>;
  readonly watch: Pick<SequenceTracker, "isLive" | "upToDateAt">;
  readonly clock: Clock;
  readonly monotonic: () => number;
}

/** A token with at least one subscription, and all its listeners. */
interface SubscribedToken {
  readonly token: string;
  /** Principal as last verified. The subjects that it depends on never change. */
  principal: VerifiedPrincipal;
  /** Monotonic time at which that principal expires. */
  expiresAt: number;
  readonly listeners: Set<CredentialListener>;
  /** Monotonic time at which the result became stale; undefined while it is fresh. */
  staleSince: number | undefined;
  /** Monotonic time at which its last verification began. */
  checkedAt: number;
  isChecking: boolean;
}

/** Maximum number of concurrent verifications: a gap in the feed makes every token stale at once. */
const MAX_CHECKS = 64;

/**
 * Subscriptions to the verification results of tokens, one for each running request.
 *
 * A token becomes stale when a subject of its principal changes, when changes were missed, or when the feed is lost. A stale token
 * is verified at once, and again every `RECHECK_INTERVAL_MS` until it is fresh; every listener gets each result. A token that
 * expires, is refused or stays stale for `MAX_STALE_MS` is ended: its listeners get the error and are released. Time is checked
 * every `STALE_CHECK_INTERVAL_MS` (`checkStale`), so the cost does not depend on how long requests run.
 */
export class CredentialSubscriptions {
  readonly #options: CredentialSubscriptionsOptions;
  readonly #byDigest = new Map<string, SubscribedToken>();
  readonly #bySubject = new SubjectIndex<string>();
  /** Digests of the stale tokens that are to be verified as soon as a check is free. */
  readonly #queue = new Set<string>();
  #runningChecks = 0;

  constructor(options: CredentialSubscriptionsOptions) {
    this.#options = options;
  }

  /**
   * Subscribes to a token that was just verified.
   *
   * @param verifiedAt monotonic time at which its verification began
   * @returns a function that releases the subscription; calling it again has no effect
   */
  add(
    digest: string,
    token: string,
    principal: VerifiedPrincipal,
    verifiedAt: number,
    listener: CredentialListener,
  ): () => void {
    const { watch, clock, monotonic } = this.#options;
    let subscribed = this.#byDigest.get(digest);
    if (subscribed === undefined) {
      const staleSince = watch.isLive() ? undefined : verifiedAt;
      const expiresAt = monotonicExpiryOf(principal, clock, monotonic);
      const listeners = new Set<CredentialListener>();
      subscribed = { token, principal, expiresAt, listeners, staleSince, checkedAt: verifiedAt, isChecking: false };
      this.#byDigest.set(digest, subscribed);
      this.#bySubject.add(digest, principal);
    }
    const { listeners } = subscribed;
    // Wrapped: the same function may be subscribed more than once.
    const entry: CredentialListener = (outcome) => listener(outcome);
    listeners.add(entry);
    return () => {
      listeners.delete(entry);
      if (listeners.size === 0) this.#remove(digest, subscribed);
    };
  }

  /** Makes the tokens that depend on a subject stale, because it changed. */
  markStale(subjectId: string): void {
    for (const digest of this.#bySubject.itemsOf(subjectId)) this.#markStale(digest, this.#options.monotonic());
  }

  /** Makes all tokens stale, because changes were missed. @param upToDateAt monotonic time at which all changes were known */
  markAllStale(upToDateAt: number): void {
    for (const digest of this.#byDigest.keys()) this.#markStale(digest, Math.max(upToDateAt, 0));
  }

  /** Ends what has expired or is stale for too long, and verifies what is stale. Called every `STALE_CHECK_INTERVAL_MS`. */
  checkStale(): void {
    const { watch, clock, monotonic } = this.#options;
    const now = monotonic();
    const isLive = watch.isLive();
    for (const [digest, subscribed] of this.#byDigest) {
      if (now >= subscribed.expiresAt || isExpired(subscribed.principal, clock()))
        this.#end(digest, subscribed, expired());
      else if (!isLive) subscribed.staleSince ??= watch.upToDateAt();
      if (subscribed.staleSince === undefined) continue;
      if (now - subscribed.staleSince >= MAX_STALE_MS) this.#end(digest, subscribed, unverifiable());
      else if (!subscribed.isChecking && now - subscribed.checkedAt >= RECHECK_INTERVAL_MS) this.#queue.add(digest);
    }
    this.#startChecks();
  }

  #markStale(digest: string, since: number): void {
    const subscribed = this.#byDigest.get(digest);
    if (subscribed === undefined) return;
    subscribed.staleSince ??= since;
    this.#queue.add(digest);
    this.#startChecks();
  }

  #startChecks(): void {
    for (const digest of this.#queue) {
      if (this.#runningChecks >= MAX_CHECKS) return;
      const subscribed = this.#byDigest.get(digest);
      // A token that changes during its check stays in the queue: the result may be known already, and lack the change.
      if (subscribed?.isChecking === true) continue;
      this.#queue.delete(digest);
      if (subscribed !== undefined) void this.#check(digest, subscribed);
    }
  }

  /** Verifies a token. It stays stale if it changed meanwhile, and is then verified again. */
  async #check(digest: string, subscribed: SubscribedToken): Promise<void> {
    const { verify, watch, clock, monotonic } = this.#options;
    const startedAt = monotonic();
    subscribed.isChecking = true;
    subscribed.checkedAt = startedAt;
    this.#runningChecks++;
    try {
      const principal = await verify(subscribed.token);
      subscribed.principal = principal;
      subscribed.expiresAt = monotonicExpiryOf(principal, clock, monotonic);
      subscribed.staleSince = watch.isLive() && !this.#queue.has(digest) ? undefined : startedAt;
      for (const listener of subscribed.listeners) listener(principal);
    } catch (error) {
      if (error instanceof DomainError && error.code === "unauthenticated") this.#end(digest, subscribed, error);
    } finally {
      subscribed.isChecking = false;
      this.#runningChecks--;
      this.#startChecks();
    }
  }

  #end(digest: string, subscribed: SubscribedToken, error: DomainError): void {
    this.#remove(digest, subscribed);
    for (const listener of subscribed.listeners) listener(error);
    subscribed.listeners.clear();
  }

  #remove(digest: string, subscribed: SubscribedToken): void {
    if (this.#byDigest.get(digest) !== subscribed) return;
    this.#byDigest.delete(digest);
    this.#bySubject.remove(digest, subscribed.principal);
    this.#queue.delete(digest);
  }
}

function expired(): DomainError {
  return new DomainError("unauthenticated", "CREDENTIAL_EXPIRED", "this API key, or a key above it, has expired");
}

function unverifiable(): DomainError {
  return new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "the auth service does not answer; try again", {
    metadata: { dependency: "auth" },
  });
}
