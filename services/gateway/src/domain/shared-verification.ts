import type { Caller, VerifyKey } from "./ports.ts";

/** Added at most to the age of an answer: a revocation must be seen within 100 ms. */
const JOIN_MS = 20;

/**
 * Requests with the same token that come within 20 ms of each other, while the first is being verified, share its answer. Nothing is kept once
 * there is an answer. A busy key then costs auth one verification at a time instead of one for each request.
 *
 * @param monotonic milliseconds, as `performance.now`
 */
export function shareVerification(verifyKey: VerifyKey, monotonic: () => number): VerifyKey {
  const underWay = new Map<string, { readonly startedAt: number; readonly answer: Promise<Caller> }>();
  return (token) => {
    const current = underWay.get(token);
    if (current !== undefined && monotonic() - current.startedAt <= JOIN_MS) return current.answer;
    const answer = verifyKey(token);
    const mine = { startedAt: monotonic(), answer };
    const forget = (): void => {
      if (underWay.get(token) === mine) underWay.delete(token);
    };
    underWay.set(token, mine);
    answer.then(forget, forget);
    return answer;
  };
}
