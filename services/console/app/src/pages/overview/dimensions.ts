import { UsageDimension, type UsageGroup } from "@routeplane/contracts/usage";
import { statusNameOf } from "../../format/request-status.ts";

/** Dimension by which bars are stacked. */
export interface Dimension {
  readonly title: string;
  readonly groupBy: UsageDimension;
  /** Id of a group's value, as in the filter of the request log; empty: the group has no value. */
  readonly idOf: (group: UsageGroup) => string;
}

/** Dimensions by their name in the address, which is also the name of the filter of the request log. */
export const DIMENSIONS = {
  key: { title: "Key", groupBy: UsageDimension.KEY, idOf: ({ keyId }) => keyId },
  model: { title: "Model", groupBy: UsageDimension.MODEL, idOf: ({ model }) => model },
  provider: { title: "Provider", groupBy: UsageDimension.PROVIDER, idOf: ({ provider }) => provider },
  status: { title: "Status", groupBy: UsageDimension.STATUS, idOf: ({ status }) => statusNameOf(status) },
} as const satisfies Readonly<Record<string, Dimension>>;

export type DimensionName = keyof typeof DIMENSIONS;

/** Name of the dimension in an address; `key` for any other text. */
export function dimensionNameOf(text: string): DimensionName {
  return Object.hasOwn(DIMENSIONS, text) ? (text as DimensionName) : "key";
}
