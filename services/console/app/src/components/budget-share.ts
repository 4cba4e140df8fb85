/**
 * Share of an amount in a limit, for the width of a bar. Percent from 0 to 100, with two digits; a share that is not zero is wide enough to
 * be seen.
 */
export function shareOf(amount: bigint, limit: bigint): number {
  if (amount <= 0n || limit <= 0n) return 0;
  return Math.min(100, Math.max(1, Number((amount * 10_000n) / limit) / 100));
}
