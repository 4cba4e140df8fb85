import { type Clock, DomainError } from "@routeplane/domain";
import type { ChangeNumbers } from "../changes/change-numbers.ts";
import type { Principal } from "../principal.ts";
import { SubjectIndex } from "./subjects.ts";
import { isExpired } from "./verification-cache.ts";

/**
 * Told what a token is good for now whenever that may have changed, or why it is good for nothing any more: refused
 * (UNAUTHENTICATED), or not to be verified for 5 s (UNAVAILABLE). After such an error nothing follows.
 */
export type Heed = (outcome: Principal | DomainError) => void;

export interface FollowersOptions {
  readonly verify: (token: string) => Promise<Principal>;
  readonly watch: Pick<ChangeNumbers, "isLive" | "knownAt">;
  readonly clock: Clock;
  readonly monotonic: () => number;
}

/** All who follow one token. */
interface Followed {
  readonly token: string;
  /** As last verified; what it depends on never changes. */
  principal: Principal;
  readonly heeds: Set<Heed>;
  /** Since when it is not known whether it is still good, by the monotonic clock. */
  doubtedSince: number | undefined;
  checkedAt: number;
  checking: boolean;
}

export const TICK_MS = 250;
/**
 * What cannot be verified for this long is refused: 5 s, as promised for a lost feed, less what noticing may take on a
 * machine with much else to do.
 */
const DOUBT_MS = 4_000;
const CHECK_AGAIN_MS = 1_000;
/** Calls at a time: a gap puts every token in doubt at once. */
const MAX_CHECKS = 64;

/** Tokens on whose strength something is running. */
export class Followers {
  readonly #options: FollowersOptions;
  readonly #byDigest = new Map<string, Followed>();
  readonly #bySubject = new SubjectIndex<string>();
  readonly #waiting = new Set<string>();
  #checks = 0;

  constructor(options: FollowersOptions) {
    this.#options = options;
  }

  /** @returns a function that ends it */
  add(digest: string, token: string, principal: Principal, heed: Heed): () => void {
    const { watch, monotonic } = this.#options;
    let followed = this.#byDigest.get(digest);
    if (followed === undefined) {
      const now = monotonic();
      const doubtedSince = watch.isLive() ? undefined : now;
      followed = { token, principal, heeds: new Set(), doubtedSince, checkedAt: now, checking: false };
      this.#byDigest.set(digest, followed);
      this.#bySubject.add(digest, principal);
    }
    const { heeds } = followed;
    // As an entry of its own, whatever function it is.
    const mine: Heed = (outcome) => heed(outcome);
    heeds.add(mine);
    return () => {
      heeds.delete(mine);
      if (heeds.size === 0) this.#forget(digest, followed);
    };
  }

  changed(subject: string): void {
    for (const digest of this.#bySubject.of(subject)) this.#doubt(digest, this.#options.monotonic());
  }

  /** @param knownAt until when everything was known */
  missedChanges(knownAt: number): void {
    for (const digest of this.#byDigest.keys()) this.#doubt(digest, Math.max(knownAt, 0));
  }

  /** To be called every `TICK_MS`. */
  tick(): void {
    const { watch, clock, monotonic } = this.#options;
    const now = monotonic();
    const live = watch.isLive();
    for (const [digest, followed] of this.#byDigest) {
      if (isExpired(followed.principal, clock())) this.#end(digest, followed, expired());
      else if (!live) followed.doubtedSince ??= watch.knownAt();
      if (followed.doubtedSince === undefined) continue;
      if (now - followed.doubtedSince >= DOUBT_MS) this.#end(digest, followed, unverifiable());
      else if (now - followed.checkedAt >= CHECK_AGAIN_MS) this.#waiting.add(digest);
    }
    this.#checkWaiting();
  }

  #doubt(digest: string, since: number): void {
    const followed = this.#byDigest.get(digest);
    if (followed === undefined) return;
    followed.doubtedSince ??= since;
    this.#waiting.add(digest);
    this.#checkWaiting();
  }

  #checkWaiting(): void {
    for (const digest of this.#waiting) {
      if (this.#checks >= MAX_CHECKS) return;
      this.#waiting.delete(digest);
      const followed = this.#byDigest.get(digest);
      if (followed !== undefined && !followed.checking) void this.#check(digest, followed);
    }
  }

  /** Whatever changes while it is on its way is in the answer: the verifier asks again by itself. */
  async #check(digest: string, followed: Followed): Promise<void> {
    const { verify, watch, monotonic } = this.#options;
    const startedAt = monotonic();
    followed.checking = true;
    followed.checkedAt = startedAt;
    this.#checks++;
    try {
      const principal = await verify(followed.token);
      followed.principal = principal;
      followed.doubtedSince = watch.isLive() ? undefined : startedAt;
      for (const heed of followed.heeds) heed(principal);
    } catch (error) {
      if (error instanceof DomainError && error.code === "unauthenticated") this.#end(digest, followed, error);
    } finally {
      followed.checking = false;
      this.#checks--;
      this.#checkWaiting();
    }
  }

  #end(digest: string, followed: Followed, error: DomainError): void {
    this.#forget(digest, followed);
    for (const heed of followed.heeds) heed(error);
    followed.heeds.clear();
  }

  #forget(digest: string, followed: Followed): void {
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
