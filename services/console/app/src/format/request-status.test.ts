import { RequestStatus } from "@routeplane/contracts/usage";
import { expect, test } from "vitest";
import { STATUS_NAMES, statusNameOf, statusOf } from "./request-status.ts";

test("names every status, and finds each by its name", () => {
  expect(STATUS_NAMES.map((name) => statusNameOf(statusOf(name) ?? RequestStatus.UNSPECIFIED))).toEqual(STATUS_NAMES);
  expect(statusNameOf(RequestStatus.DENIED)).toBe("denied");
  expect(statusNameOf(RequestStatus.UNSPECIFIED)).toBe("unknown");
});

test("has no status for other texts", () => {
  expect(["", "Denied", "constructor"].map(statusOf)).toEqual([undefined, undefined, undefined]);
});
