const MICRO_PER_USD = 1_000_000n;
const PICO_PER_USD = 1_000_000_000_000n;

/** Exact amount in USD, with at least cents: `$5.00`, `$1,200.00`, `$0.000012`. */
export function formatUsd(microUsd: bigint): string {
  const sign = microUsd < 0n ? "-" : "";
  const micro = microUsd < 0n ? -microUsd : microUsd;
  const fraction = (micro % MICRO_PER_USD)
    .toString()
    .padStart(6, "0")
    .replace(/0{1,4}$/, "");
  return `${sign}$${formatCount(micro / MICRO_PER_USD)}.${fraction}`;
}

/** Exact amount of pico-USD in USD, with at least cents: `$0.15`, `$0.000000375`. */
export function formatPicoUsd(picoUsd: bigint): string {
  const fraction = (picoUsd % PICO_PER_USD)
    .toString()
    .padStart(12, "0")
    .replace(/0{1,10}$/, "");
  return `$${formatCount(picoUsd / PICO_PER_USD)}.${fraction}`;
}

/** Whole number with separators of thousands: `1,234,567`. */
export function formatCount(count: number | bigint): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ",");
}

/** Whole number of things: `1 request`, `1,234 requests`. @param thing in the singular, with a regular plural */
export function countOf(count: number | bigint, thing: string): string {
  return `${formatCount(count)} ${thing}${BigInt(count) === 1n ? "" : "s"}`;
}

/** Amount for the axis of a chart or a small space, rounded to three digits: `$1.23k`, `$0.0045`. The exact amount is shown on hover. */
export function formatShortUsd(microUsd: number): string {
  const usd = microUsd / 1_000_000;
  if (usd !== 0 && Math.abs(usd) < 0.01) return `$${Number(usd.toPrecision(2))}`;
  return `$${new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(usd)}`;
}

/** Count for the axis of a chart: `1.2K`. */
export function formatShortCount(count: number): string {
  return new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(count);
}
