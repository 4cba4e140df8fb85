import type { ChangeFeed } from "../changes/change-feed.ts";
import { SequenceTracker } from "../changes/sequence-tracker.ts";
import { CachingVerifier, type CachingVerifierOptions, verificationResultOf } from "./caching-verifier.ts";
import type { VerificationResult } from "./verification-cache.ts";

export interface LocalVerifierOptions extends Omit<CachingVerifierOptions, "isLive"> {
  /** Feed of the changes of credentials. */
  readonly changes: Pick<ChangeFeed, "isLive" | "subscribe">;
}

/** @see createLocalVerifier */
export interface LocalVerifier {
  /**
   * Verifies a token. Rejects if the database cannot be read.
   *
   * @param knownChange sequence number of the last change that the caller knows: the result is not older than that
   */
  verify(token: string, knownChange: bigint): VerificationResult | Promise<VerificationResult>;
}

/**
 * Creates the verifier of the auth service itself: the same cache as `createVerifier`, over the database instead of a call.
 *
 * It learns of a change before any other process does from here. A caller that learned of one from another auth process says so
 * (`knownChange`) and is verified uncached, so its cache is never refilled with an older result. While the feed is lost, every
 * token is verified uncached.
 */
export function createLocalVerifier({ changes, ...options }: LocalVerifierOptions): LocalVerifier {
  const { verifyUncached, monotonic = () => performance.now() } = options;
  const tracker = new SequenceTracker({
    monotonic,
    onChange: (subjectId) => cached.invalidate(subjectId),
    onGap: () => cached.invalidateAll(),
  });
  const isLive = (): boolean => changes.isLive() && tracker.isLive();
  const cached = new CachingVerifier({ ...options, monotonic, isLive });
  changes.subscribe(({ sequence, subjectId = "" }) => tracker.add(sequence, subjectId));
  return {
    verify: (token, knownChange) =>
      knownChange > tracker.lastSequence() ? verificationResultOf(verifyUncached, token) : cached.verify(token),
  };
}
