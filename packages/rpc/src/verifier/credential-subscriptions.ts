import { type Clock, DomainError } from "@routeplane/domain";
import type { SequenceTracker } from "../changes/sequence-tracker.ts";
import type { Principal } from "../principal.ts";
import { SubjectIndex } from "./subjects.ts";
import { isExpired } from "./verification-cache.ts";

/**
 * Told what a token is good for now whenever that may have changed, or why it is good for nothing any more: refused
 * (UNAUTHENTICATED), or not to be verified for 5 s (UNAVAILABLE). After such an error nothing follows.
 */
export type CredentialListener = (outcome: Principal | DomainError) => void;

export interface CredentialSubscriptionsOptions {
  readonly verify: (token: string) => Promise<Principal>;
  readonly watch: Pick<SequenceTracker, "isLive" | "upToDateAt">;
  readonly clock: Clock;
  readonly monotonic: () => number;
}

/** All who follow one token. */
interface SubscribedToken {
  readonly token: string;
  /** As last verified; what it depends on never changes. */
  principal: Principal;
  readonly listeners: Set<CredentialListener>;
  /** Since when it is not known whether it is still good, by the monotonic clock. */
  staleSince: number | undefined;
  checkedAt: number;
  isChecking: boolean;
}

export const STALE_CHECK_INTERVAL_MS = 250;
/**
 * What cannot be verified for this long is refused: 5 s, as promised for a lost feed, less what noticing may take on a
 * machine with much else to do.
 */
const MAX_STALE_MS = 4_000;
const CHECK_AGAIN_MS = 1_000;
/** Calls at a time: a gap puts every token in doubt at once. */
const MAX_CHECKS = 64;

/** Tokens on whose strength something is running. */
export class CredentialSubscriptions {
  readonly #options: CredentialSubscriptionsOptions;
  readonly #byDigest = new Map<string, SubscribedToken>();
  readonly #bySubject = new SubjectIndex<string>();
  readonly #waiting = new Set<string>();
  #checks = 0;

  constructor(options: CredentialSubscriptionsOptions) {
    this.#options = options;
  }

  /** @returns a function that ends it */
  add(digest: string, token: string, principal: Principal, heed: CredentialListener): () => void {
    const { watch, monotonic } = this.#options;
    let followed = this.#byDigest.get(digest);
    if (followed === undefined) {
      const now = monotonic();
      const doubtedSince = watch.isLive() ? undefined : now;
      followed = {
        token,
        principal,
        listeners: new Set(),
        staleSince: doubtedSince,
        checkedAt: now,
        isChecking: false,
      };
      this.#byDigest.set(digest, followed);
      this.#bySubject.add(digest, principal);
    }
    const { listeners: heeds } = followed;
    // As an entry of its own, whatever function it is.
    const mine: CredentialListener = (outcome) => heed(outcome);
    heeds.add(mine);
    return () => {
      heeds.delete(mine);
      if (heeds.size === 0) this.#forget(digest, followed);
    };
  }

  markStale(subject: string): void {
    for (const digest of this.#bySubject.of(subject)) this.#doubt(digest, this.#options.monotonic());
  }

  /** @param knownAt until when everything was known */
  markAllStale(knownAt: number): void {
    for (const digest of this.#byDigest.keys()) this.#doubt(digest, Math.max(knownAt, 0));
  }

  /** To be called every `TICK_MS`. */
  checkStale(): void {
    const { watch, clock, monotonic } = this.#options;
    const now = monotonic();
    const live = watch.isLive();
    for (const [digest, followed] of this.#byDigest) {
      if (isExpired(followed.principal, clock())) this.#end(digest, followed, expired());
      else if (!live) followed.staleSince ??= watch.upToDateAt();
      if (followed.staleSince === undefined) continue;
      if (now - followed.staleSince >= MAX_STALE_MS) this.#end(digest, followed, unverifiable());
      else if (now - followed.checkedAt >= CHECK_AGAIN_MS) this.#waiting.add(digest);
    }
    this.#checkWaiting();
  }

  #doubt(digest: string, since: number): void {
    const followed = this.#byDigest.get(digest);
    if (followed === undefined) return;
    followed.staleSince ??= since;
    this.#waiting.add(digest);
    this.#checkWaiting();
  }

  #checkWaiting(): void {
    for (const digest of this.#waiting) {
      if (this.#checks >= MAX_CHECKS) return;
      this.#waiting.delete(digest);
      const followed = this.#byDigest.get(digest);
      if (followed !== undefined && !followed.isChecking) void this.#check(digest, followed);
    }
  }

  /** Whatever changes while it is on its way is in the answer: the verifier asks again by itself. */
  async #check(digest: string, followed: SubscribedToken): Promise<void> {
    const { verify, watch, monotonic } = this.#options;
    const startedAt = monotonic();
    followed.isChecking = true;
    followed.checkedAt = startedAt;
    this.#checks++;
    try {
      const principal = await verify(followed.token);
      followed.principal = principal;
      followed.staleSince = watch.isLive() ? undefined : startedAt;
      for (const heed of followed.listeners) heed(principal);
    } catch (error) {
      if (error instanceof DomainError && error.code === "unauthenticated") this.#end(digest, followed, error);
    } finally {
      followed.isChecking = false;
      this.#checks--;
      this.#checkWaiting();
    }
  }

  #end(digest: string, followed: SubscribedToken, error: DomainError): void {
    this.#forget(digest, followed);
    for (const heed of followed.listeners) heed(error);
    followed.listeners.clear();
  }

  #forget(digest: string, followed: SubscribedToken): void {
    if (this.#byDigest.get(digest) !== followed) return;
    this.#byDigest.delete(digest);
    this.#bySubject.remove(digest, followed.principal);
    this.#waiting.delete(digest);
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
