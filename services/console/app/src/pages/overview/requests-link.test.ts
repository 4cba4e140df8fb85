import { expect, test } from "vitest";
import { requestsLink } from "./requests-link.ts";

const range = { from: new Date("2026-11-30T08:00:00Z"), to: new Date("2026-11-30T09:00:00Z") };
const RANGE = "from=2026-11-30T08%3A00%3A00.000Z&to=2026-11-30T09%3A00%3A00.000Z";

test("leads to the requests of a range and a value", () => {
  expect(requestsLink(range, "spend")).toBe(`/requests?${RANGE}`);
  expect(requestsLink(range, "spend", "key", "key_1")).toBe(`/requests?${RANGE}&key=key_1`);
  expect(requestsLink(range, "tokens", "model", "a&b=<i>")).toBe(`/requests?${RANGE}&model=a%26b%3D%3Ci%3E`);
});

test("filters neither by the rest, nor by the missing model of a refused request", () => {
  expect(requestsLink(range, "spend", "key", undefined)).toBe(`/requests?${RANGE}`);
  expect(requestsLink(range, "refusals", "model", "")).toBe(`/requests?${RANGE}&status=denied`);
});

test("leads from refusals only to the denied requests", () => {
  expect(requestsLink(range, "refusals", "key", "key_1")).toBe(`/requests?${RANGE}&status=denied&key=key_1`);
});
