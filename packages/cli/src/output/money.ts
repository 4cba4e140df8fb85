const MICRO_PER_USD = 1_000_000n;

/** Amount in micro-USD and in USD, both exact, e.g. `5000000 micro-USD ($5.00)`. */
export function formatMicroUsd(microUsd: number | bigint): string {
  return `${microUsd} micro-USD (${formatUsd(microUsd)})`;
}

/** Whole number with thousands separators, e.g. `1,234,567`. */
export function formatCount(count: number | bigint): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ",");
}

/** Exact amount in USD, with at least cents, e.g. `$5.00`, `$1,200.00` or `$0.000012`. */
export function formatUsd(microUsd: number | bigint): string {
  const micro = BigInt(microUsd);
  const fraction = (micro % MICRO_PER_USD)
    .toString()
    .padStart(6, "0")
    .replace(/0{1,4}$/, "");
  return `$${formatCount(micro / MICRO_PER_USD)}.${fraction}`;
}
