import { UsageMeasure } from "@routeplane/contracts/usage";
import { formatCount, formatShortCount, formatShortUsd, formatUsd } from "./money.ts";

/** Totals of usage, for a range or a group. */
export interface Totals {
  readonly requestCount: bigint;
  readonly promptTokens: bigint;
  readonly completionTokens: bigint;
  readonly spendMicroUsd: bigint;
  readonly deniedCount: bigint;
}

/** Measure of usage that a chart or a list of the largest values shows. */
export interface Measure {
  readonly title: string;
  /** Name of the measure in requests for usage. */
  readonly usageMeasure: UsageMeasure;
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
    usageMeasure: UsageMeasure.SPEND,
    valueOf: ({ spendMicroUsd }) => spendMicroUsd,
    format: formatUsd,
    formatTick: formatShortUsd,
  },
  requests: {
    title: "Requests",
    usageMeasure: UsageMeasure.REQUESTS,
    valueOf: ({ requestCount }) => requestCount,
    ...count,
  },
  tokens: {
    title: "Tokens",
    usageMeasure: UsageMeasure.TOKENS,
    valueOf: ({ promptTokens, completionTokens }) => promptTokens + completionTokens,
    ...count,
  },
  refusals: {
    title: "Refusals",
    usageMeasure: UsageMeasure.DENIED,
    valueOf: ({ deniedCount }) => deniedCount,
    ...count,
  },
} as const satisfies Readonly<Record<string, Measure>>;

export type MeasureName = keyof typeof MEASURES;

/** Name of the measure in an address; `spend` for any other text. */
export function measureNameOf(text: string): MeasureName {
  return Object.hasOwn(MEASURES, text) ? (text as MeasureName) : "spend";
}
