import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { RequestStatus } from "@routeplane/contracts/usage";
import { expect, test } from "vitest";
import { FILTER_NAMES, type RequestFilters, toRequestFilter } from "./request-filter.ts";

const NOW = Date.parse("2026-11-30T08:00:30Z");
const NONE = Object.fromEntries(FILTER_NAMES.map((name) => [name, ""])) as RequestFilters;

test("passes on each filter of the address", () => {
  const filters = { ...NONE, key: "key_1", model: "gpt-4o", provider: "openai", status: "denied", range: "1h" };
  expect(toRequestFilter(filters, NOW)).toEqual({
    keyId: "key_1",
    model: "gpt-4o",
    provider: "openai",
    status: RequestStatus.DENIED,
    from: timestampFromDate(new Date("2026-11-30T07:01:00Z")),
  });
});

test("sets an end only for a range of two times", () => {
  const fixed = { ...NONE, from: "2026-11-01T00:00:00Z", to: "2026-11-02T00:00:00Z" };
  expect(toRequestFilter(fixed, NOW).to).toEqual(timestampFromDate(new Date("2026-11-02T00:00:00Z")));
  expect(toRequestFilter({ ...fixed, to: "soon" }, NOW).to).toBeUndefined();
});

test("does not filter by an unknown status", () => {
  expect(toRequestFilter({ ...NONE, status: "constructor" }, NOW).status).toBe(RequestStatus.UNSPECIFIED);
});
