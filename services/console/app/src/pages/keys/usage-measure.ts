import type { UsageGroup } from "@routeplane/contracts/usage";
import { formatCount, formatShortCount, formatShortUsd, formatUsd } from "../../format/money.ts";

/** Amount of usage that a chart shows. */
export interface Measure {
  readonly title: string;
  readonly valueOf: (group: UsageGroup) => bigint;
  /** Exact text. */
  readonly format: (value: bigint) => string;
  /** Short text for an axis. */
  readonly formatTick: (value: number) => string;
}

const COUNT = { format: formatCount, formatTick: formatShortCount };

/** Measures of usage, by their name in the address. */
export const MEASURES = {
  spend: {
    title: "Spend",
    valueOf: ({ spendMicroUsd }) => spendMicroUsd,
    format: formatUsd,
    formatTick: formatShortUsd,
  },
  requests: { title: "Requests", valueOf: ({ requestCount }) => requestCount, ...COUNT },
  tokens: {
    title: "Tokens",
    valueOf: ({ promptTokens, completionTokens }) => promptTokens + completionTokens,
    ...COUNT,
  },
  refused: { title: "Refused requests", valueOf: ({ deniedCount }) => deniedCount, ...COUNT },
} as const satisfies Readonly<Record<string, Measure>>;

type MeasureName = keyof typeof MEASURES;

/** Measure of a name in the address: spend for any that there is not. */
export function measureOf(name: string): Measure {
  return MEASURES[Object.hasOwn(MEASURES, name) ? (name as MeasureName) : "spend"];
}
