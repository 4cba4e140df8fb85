import { expect, it } from "vitest";
import { backOffMs } from "./back-off.ts";

it("waits up to 200 ms, twice as long for each further time, and never beyond 2 s", () => {
  const most = [1, 2, 3, 4, 5, 50].map((failures) => backOffMs(failures, undefined, 1));
  expect(most).toEqual([200, 400, 800, 1_600, 2_000, 2_000]);
  expect(backOffMs(1, undefined, 0)).toBe(100);
});

it("waits at least as long as the upstream asks for", () => {
  expect(backOffMs(1, 1_500, 0)).toBe(1_500);
  expect(backOffMs(1, 1_500, 1)).toBe(1_700);
  expect(backOffMs(1, 0, 1)).toBe(0);
});
