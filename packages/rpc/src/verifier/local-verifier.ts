import type { ChangeFeed } from "../changes/change-feed.ts";
import { ChangeNumbers } from "../changes/change-numbers.ts";
import { Answers, type AnswersOptions, askOnce } from "./answers.ts";
import type { Answer } from "./verification-cache.ts";

export interface LocalVerifierOptions extends Omit<AnswersOptions, "isLive"> {
  /** Of what credentials may do. */
  readonly changes: Pick<ChangeFeed, "isFollowing" | "follow">;
}

/** @see createLocalVerifier */
export interface LocalVerifier {
  /**
   * Whom a token belongs to, or why it is refused. Rejects if it cannot be known.
   *
   * @param knownChange number of the last change that whoever asks knows of: the answer is not older than that
   */
  answer(token: string, knownChange: bigint): Answer | Promise<Answer>;
}

/**
 * Keeps answers in the process that finds them out, under the same rules as a verifier that has to call for them. It hears of
 * a change before any other process does from here; one that heard of it from elsewhere says so, and is never given less than
 * it knows. While changes cannot be followed everything is asked anew.
 */
export function createLocalVerifier({ changes, ...options }: LocalVerifierOptions): LocalVerifier {
  const { monotonic = () => performance.now() } = options;
  const numbers = new ChangeNumbers({
    monotonic,
    onChange: (subject) => answers.changed(subject),
    onGap: () => answers.missedChanges(),
  });
  const isLive = (): boolean => changes.isFollowing() && numbers.isLive();
  const answers = new Answers({ ...options, monotonic, isLive });
  changes.follow(({ sequence, subjectId = "" }) => numbers.take(sequence, subjectId));
  return {
    answer: (token, knownChange) => (knownChange > numbers.last() ? askOnce(options.ask, token) : answers.find(token)),
  };
}
