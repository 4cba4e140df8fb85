/** Comparison of an amount with that of the previous range. */
export interface Comparison {
  readonly direction: "more" | "less" | "same";
  /** Complete text, e.g. `12 % more`. */
  readonly text: string;
}

/** Ratio from which an increase is described as a multiple. */
const MANY = 10n;

/** Compares an amount with the previous one. Rounded to whole percent, because the exact amounts are shown beside it. */
export function compare(now: bigint, before: bigint): Comparison {
  if (now === before) return { direction: "same", text: before === 0n ? "none before either" : "the same as before" };
  if (before === 0n) return { direction: "more", text: "none before" };
  if (now === 0n) return { direction: "less", text: "100 % less" };
  const direction = now > before ? "more" : "less";
  if (now >= MANY * before) return { direction, text: `${now / before} times as much` };
  const change = now > before ? now - before : before - now;
  const percent = (change * 100n + before / 2n) / before;
  if (percent === 0n) return { direction, text: `under 1 % ${direction}` };
  // Rounding must not turn a difference into none.
  if (percent === 100n && direction === "less") return { direction, text: "over 99 % less" };
  return { direction, text: `${percent} % ${direction}` };
}
