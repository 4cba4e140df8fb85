import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type RequestFilterSchema, RequestStatus } from "@routeplane/contracts/usage";
import { statusOf } from "../../format/request-status.ts";
import { timeRangeOf } from "../../format/time-range.ts";

/** Filters of the request log in the address. Links from charts use the same names. */
export const FILTER_NAMES = ["key", "model", "provider", "status", "range", "from", "to"] as const;
export type RequestFilters = Readonly<Record<(typeof FILTER_NAMES)[number], string>>;

/** Maximum length of a model or provider that the service filters by, in characters. */
export const MAX_FILTER_LENGTH = 256;

/** Converts the filters of the address for the service. A range that ends now has no end, so that new requests are in it. */
export function toRequestFilter(filters: RequestFilters, now: number): MessageInitShape<typeof RequestFilterSchema> {
  const { from, to } = timeRangeOf(filters, now);
  return {
    keyId: filters.key,
    model: filters.model,
    provider: filters.provider,
    status: statusOf(filters.status) ?? RequestStatus.UNSPECIFIED,
    from: timestampFromDate(from),
    ...(hasFixedRange(filters) && { to: timestampFromDate(to) }),
  };
}

/** True if the filters give a range by two times, so that no new request is in it. */
export function hasFixedRange({ from, to }: RequestFilters): boolean {
  return Date.parse(from) < Date.parse(to);
}
