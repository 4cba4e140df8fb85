import type { ChangeFeed } from "../changes/change-feed.ts";
import { SequenceTracker } from "../changes/sequence-tracker.ts";
import { CachingVerifier, type CachingVerifierOptions, verificationResultOf } from "./caching-verifier.ts";
import type { VerificationResult } from "./verification-cache.ts";

export interface LocalVerifierOptions extends Omit<CachingVerifierOptions, "isLive"> {
  /** Of what credentials may do. */
  readonly changes: Pick<ChangeFeed, "isLive" | "subscribe">;
}

/** @see createLocalVerifier */
export interface LocalVerifier {
  /**
   * Whom a token belongs to, or why it is refused. Rejects if it cannot be known.
   *
   * @param knownChange number of the last change that whoever asks knows of: the answer is not older than that
   */
  verify(token: string, knownChange: bigint): VerificationResult | Promise<VerificationResult>;
}

/**
 * Keeps answers in the process that finds them out, under the same rules as a verifier that has to call for them. It hears of
 * a change before any other process does from here; one that heard of it from elsewhere says so, and is never given less than
 * it knows. While changes cannot be followed everything is asked anew.
 */
export function createLocalVerifier({ changes, ...options }: LocalVerifierOptions): LocalVerifier {
  const { monotonic = () => performance.now() } = options;
  const numbers = new SequenceTracker({
    monotonic,
    onChange: (subject) => answers.invalidate(subject),
    onGap: () => answers.invalidateAll(),
  });
  const isLive = (): boolean => changes.isLive() && numbers.isLive();
  const answers = new CachingVerifier({ ...options, monotonic, isLive });
  changes.subscribe(({ sequence, subjectId = "" }) => numbers.take(sequence, subjectId));
  return {
    verify: (token, knownChange) =>
      knownChange > numbers.lastSequence()
        ? verificationResultOf(options.verifyUncached, token)
        : answers.verify(token),
  };
}
