import { DomainError } from "@routeplane/domain";
import { describe, expect, it } from "vitest";
import { graceMs } from "./rotation.ts";

function fault(work: () => unknown): DomainError {
  try {
    work();
  } catch (error) {
    if (error instanceof DomainError) return error;
  }
  return expect.fail("was not refused");
}

describe("a grace", () => {
  it.each([
    [undefined, 3_600_000],
    [0, 0],
    [1, 1000],
    [604_800, 604_800_000],
  ])("of %s seconds is %i ms", (seconds, ms) => {
    expect(graceMs(seconds)).toBe(ms);
  });

  it.each([-1, 604_801, 0.5, 604_800.000_000_1, Number.NaN, Infinity, -1e18, 9.3e18])(
    "cannot be %d seconds",
    (seconds) => {
      expect(fault(() => graceMs(seconds)).fields).toMatchObject([{ field: "grace" }]);
    },
  );
});
