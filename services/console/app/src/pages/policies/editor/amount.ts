import { formatUsd } from "../../../format/money.ts";

const USD = /^\$?\s*(\d{1,12})?(?:\.(\d{1,6}))?$/;

/** Amount in micro-USD of a text such as `25`, `$1,200` or `0.000012`; undefined if it is no such amount. */
export function parseUsd(text: string): bigint | undefined {
  const match = USD.exec(text.trim().replaceAll(",", ""));
  if (match === null || (match[1] === undefined && match[2] === undefined)) return undefined;
  return BigInt(match[1] ?? 0) * 1_000_000n + BigInt((match[2] ?? "").padEnd(6, "0"));
}

/** Text of a field for an amount, which `parseUsd` reads: `1200.00`. */
export function toUsdText(microUsd: bigint): string {
  return formatUsd(microUsd).replaceAll(/[$,]/g, "");
}
