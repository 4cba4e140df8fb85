const MICRO_PER_USD = 1_000_000n;

/** Amount in micro-USD and in USD, both exact, e.g. `5000000 micro-USD ($5.00)`. */
export function formatMicroUsd(microUsd: number): string {
  return `${microUsd} micro-USD (${formatUsd(microUsd)})`;
}

/** Exact amount in USD, with at least cents, e.g. `$5.00` or `$0.000012`. */
export function formatUsd(microUsd: number): string {
  const micro = BigInt(microUsd);
  const fraction = (micro % MICRO_PER_USD)
    .toString()
    .padStart(6, "0")
    .replace(/0{1,4}$/, "");
  return `$${micro / MICRO_PER_USD}.${fraction}`;
}
