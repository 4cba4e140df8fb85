import { StandingSlice } from "@routeplane/admission";
import { newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { describe, expect, it } from "vitest";
import { GatewaySession } from "./gateway-session.ts";
import { SliceCalls } from "./slice-calls.ts";
import { noteUse, returnIdleSlices } from "./slice-returns.ts";

/** Slice of a budget of which `remaining` was left, used at these times. @returns function that tells what is given back at a time */
function sliceUsedAt(timesMs: readonly number[], granted: number, remaining: number): (nowMs: number) => number {
  const session = new GatewaySession(newId("gws"), 0);
  const limits = [{ bindingId: "bnd_1", dimension: "money" as const, limit: 1_000_000, isShadow: false, terms: "" }];
  const counter = session.setOf({ limits, isCentral: false, name: "a budget" }, newId("ns"))?.counters[0];
  if (!(counter?.slice instanceof StandingSlice)) throw new Error("a budget has no slice");
  const { slice } = counter;
  slice.grant(granted, granted);
  slice.remaining = remaining;
  for (const timeMs of timesMs) noteUse(counter, timeMs);
  return (nowMs) => {
    const calls = new SliceCalls({
      session,
      sessions: {
        renew: async () => ({ state: "open", lengthMs: 30_000 }),
        close: async () => {},
        acquire: async () => ({ state: "open", grants: [] }),
      },
      clock: () => nowMs,
      log: createLogger("gateway", (line) => line, "silent"),
      onState: () => {},
    });
    returnIdleSlices({ session, calls, recordOffset: 0 }, nowMs);
    return slice.returned;
  };
}

describe("an idle slice is given back", () => {
  it("after 3 s", () => {
    const returnedAt = sliceUsedAt([1_000, 2_000], 1_000, 1_000_000);
    expect(returnedAt(5_000)).toBe(0);
    expect(returnedAt(5_001)).toBe(1_000);
  });

  it("after twice the last pause between its requests", () => {
    const returnedAt = sliceUsedAt([0, 10_000, 11_000], 1_000, 64_000);
    expect(returnedAt(31_000)).toBe(0);
    expect(returnedAt(31_001)).toBe(1_000);
  });

  it("after 3 s if it is more than a 64th of what remains, or was not used for half a minute", () => {
    expect(sliceUsedAt([0, 10_000], 1_000, 63_999)(13_001)).toBe(1_000);
    expect(sliceUsedAt([0, 10_000, 40_000], 1_000, 64_000)(43_001)).toBe(1_000);
  });
});
