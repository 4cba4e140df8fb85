import { formatUsd } from "./money.ts";

/** Reads an amount in USD as people write it, e.g. `5`, `$0.25` or `1,000`. Micro-USD; undefined if it is none, or is not exact. */
export function parseUsd(text: string): bigint | undefined {
  const [, written, fraction = ""] =
    /^\$?\s*(\d{1,10}|\d{1,3}(?:,\d{3}){1,3})(?:\.(\d{1,6}))?$/.exec(text.trim()) ?? [];
  return written === undefined ? undefined : BigInt(written.replaceAll(",", "") + fraction.padEnd(6, "0"));
}

/** Text of an amount for a field that `parseUsd` reads: `1200.00`. */
export function toUsdText(microUsd: bigint): string {
  return formatUsd(microUsd).replaceAll(/[$,]/g, "");
}

/** Reads a whole number, e.g. `60` or `1,000`; undefined if it is none. */
export function parseCount(text: string): bigint | undefined {
  const written = /^(?:\d{1,18}|\d{1,3}(?:,\d{3}){1,5})$/.exec(text.trim())?.[0];
  return written === undefined ? undefined : BigInt(written.replaceAll(",", ""));
}
