import { formatCount, formatShortCount, formatShortUsd, formatUsd } from "./money.ts";

/** Totals that usage has, of a range or of a group. */
export interface Totals {
  readonly requestCount: bigint;
  readonly promptTokens: bigint;
  readonly completionTokens: bigint;
  readonly spendMicroUsd: bigint;
  readonly deniedCount: bigint;
}

/** Measure of usage: charts and lists of the largest show one. */
export interface Measure {
  readonly title: string;
  readonly valueOf: (totals: Totals) => bigint;
  /** Exact text. */
  readonly format: (value: bigint) => string;
  /** Text for an axis. */
  readonly formatTick: (value: number) => string;
}

const count = { format: formatCount, formatTick: formatShortCount };

/** Measures by their name in the address. */
export const MEASURES = {
  spend: {
    title: "Spend",
    valueOf: ({ spendMicroUsd }) => spendMicroUsd,
    format: formatUsd,
    formatTick: formatShortUsd,
  },
  requests: { title: "Requests", valueOf: ({ requestCount }) => requestCount, ...count },
  tokens: {
    title: "Tokens",
    valueOf: ({ promptTokens, completionTokens }) => promptTokens + completionTokens,
    ...count,
  },
  refusals: { title: "Refusals", valueOf: ({ deniedCount }) => deniedCount, ...count },
} as const satisfies Readonly<Record<string, Measure>>;

export type MeasureName = keyof typeof MEASURES;

/** Name of a measure as the address has it; `spend` for any other text. */
export function measureNameOf(text: string): MeasureName {
  return Object.hasOwn(MEASURES, text) ? (text as MeasureName) : "spend";
}
