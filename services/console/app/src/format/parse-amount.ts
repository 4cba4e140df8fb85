import { formatUsd } from "./money.ts";

/**
 * Parses an amount in USD as people write it, e.g. `5`, `$0.25` or `1,000`. Returns micro-USD; undefined for an invalid or inexact amount.
 */
export function parseUsd(text: string): bigint | undefined {
  const [, written, fraction = ""] =
    /^\$?\s*(\d{1,10}|\d{1,3}(?:,\d{3}){1,3})(?:\.(\d{1,6}))?$/.exec(text.trim()) ?? [];
  return written === undefined ? undefined : BigInt(written.replaceAll(",", "") + fraction.padEnd(6, "0"));
}

/** Text of an amount that `parseUsd` reads back: `1200.00`. */
export function toUsdText(microUsd: bigint): string {
  return formatUsd(microUsd).replaceAll(/[$,]/g, "");
}

/** Parses a whole number, e.g. `60` or `1,000`; undefined for any other text. */
export function parseCount(text: string): bigint | undefined {
  const written = /^(?:\d{1,18}|\d{1,3}(?:,\d{3}){1,5})$/.exec(text.trim())?.[0];
  return written === undefined ? undefined : BigInt(written.replaceAll(",", ""));
}
