import { formatUsd } from "../format/money.ts";

/** Exact amount in USD; micro-USD on hover. */
export function Money({ microUsd }: { readonly microUsd: bigint }) {
  return <span title={`${microUsd} micro-USD`}>{formatUsd(microUsd)}</span>;
}
