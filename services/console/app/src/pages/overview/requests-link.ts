import type { TimeRange } from "../../format/time-range.ts";
import type { DimensionName } from "./dimensions.ts";
import type { MeasureName } from "../../format/measures.ts";

/** Address of the requests that a number counts: those in a range with one value of a dimension; only denied ones for refusals. */
export function requestsLink(
  { from, to }: TimeRange,
  measure: MeasureName,
  by?: DimensionName,
  id: string | undefined = "",
): string {
  const parameters = new URLSearchParams({ from: from.toISOString(), to: to.toISOString() });
  if (measure === "refusals") parameters.set("status", "denied");
  if (by !== undefined && id !== "") parameters.set(by, id);
  return `/requests?${parameters}`;
}
