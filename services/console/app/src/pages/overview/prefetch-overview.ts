import type { Transport } from "@connectrpc/connect";
import type { QueryClient } from "@tanstack/react-query";
import { measureNameOf } from "../../format/measures.ts";
import { timeRangeOf } from "../../format/time-range.ts";
import { presentTime } from "../../format/use-now.ts";
import { currentTimeZone } from "../../format/use-time-zone.ts";
import { dimensionNameOf } from "./dimensions.ts";
import { prefetchUsageOverTime } from "./use-usage.ts";

/**
 * Starts the read for the chart of the overview at an address. Rendering the page takes a tenth of a second on a slow machine, and the read
 * would start only after that.
 *
 * @param search query of the address, e.g. `?range=30d`
 */
export function prefetchOverview(queries: QueryClient, transport: Transport, search: string): void {
  const parameters = new URLSearchParams(search);
  const textOf = (name: string): string => parameters.get(name) ?? "";
  const filters = { range: textOf("range"), from: textOf("from"), to: textOf("to") };
  prefetchUsageOverTime(queries, transport, {
    range: timeRangeOf(filters, presentTime()),
    by: dimensionNameOf(textOf("by")),
    measure: measureNameOf(textOf("show")),
    timeZone: currentTimeZone(),
  });
}
