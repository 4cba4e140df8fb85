import type { SliceBounds } from "@routeplane/admission";
import { newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { expect, it } from "vitest";
import type { CounterRequest, GatewaySessions } from "../ports/gateway-sessions.ts";
import { GatewaySession } from "./gateway-session.ts";
import { SliceCalls } from "./slice-calls.ts";

/** Slice calls on one budget, of which the policy service grants what is asked for. */
function callsOnBudget() {
  const asked: CounterRequest[] = [];
  const sessions: GatewaySessions = {
    renew: async () => ({ state: "open", lengthMs: 30_000 }),
    close: async () => {},
    acquire: async (_, requests) => ({
      state: "open",
      grants: requests.map(({ counters }) => ({
        granted: true,
        counters: counters.map((counter) => {
          asked.push(counter);
          const { granted, needed, doubt } = counter;
          return { granted: granted + needed, doubt, rate: undefined, remaining: 0, resetsAtMs: undefined };
        }),
      })),
    }),
  };
  const session = new GatewaySession(newId("gws"), 0);
  session.expiresAtMs = Number.POSITIVE_INFINITY;
  const log = createLogger("test", (line) => line, "silent");
  const calls = new SliceCalls({ session, sessions, clock: () => 0, log, onState: () => {} });
  const limits = [{ bindingId: "bnd_1", dimension: "money" as const, limit: 0, isShadow: false, terms: "" }];
  const set = session.setOf({ limits, isCentral: false, name: "a budget" }, newId("ns")) ?? expect.fail("no limit set");
  return { asked, acquire: (bounds: SliceBounds) => calls.acquire(set, bounds) };
}

it("a call names no amount beyond 2^53 - 1, however large the bounds of all that wait are together", async () => {
  const { asked, acquire } = callsOnBudget();
  const bounds = { nanoUsd: 2 ** 52, tokens: 1 };
  await Promise.all([acquire(bounds), acquire(bounds), acquire(bounds)]);
  expect(asked.length).toBeGreaterThan(1);
  for (const { needed, doubt, free, wanted } of asked)
    for (const amount of [needed, doubt, free, wanted]) expect(amount).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER);
});
