import type { SliceBounds } from "@routeplane/admission";
import { newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { CounterRequest, GatewaySessions } from "../ports/gateway-sessions.ts";
import { GatewaySession } from "./gateway-session.ts";
import { SliceCalls } from "./slice-calls.ts";

const HALF = { nanoUsd: 2 ** 52, tokens: 1 };
const SMALL = { nanoUsd: 100, tokens: 1 };

/** Slice calls on budgets, of which the policy service grants what is asked for, unless it hangs. */
function callsOnBudgets() {
  const asked: CounterRequest[] = [];
  const service = { isHanging: false };
  const sessions: GatewaySessions = {
    renew: async () => ({ state: "open", lengthMs: 30_000 }),
    close: async () => {},
    acquire: async (_, requests) => {
      if (service.isHanging) await new Promise(() => {});
      const grants = requests.map(({ counters }) => ({
        granted: true,
        counters: counters.map((counter) => {
          asked.push(counter);
          const { granted, needed, wanted, doubt } = counter;
          return { granted: granted + needed + wanted, doubt, rate: undefined, remaining: 0, resetsAtMs: undefined };
        }),
      }));
      return { state: "open", grants };
    },
  };
  const session = new GatewaySession(newId("gws"), 0);
  session.expiresAtMs = Number.POSITIVE_INFINITY;
  const log = createLogger("test", (line) => line, "silent");
  const calls = new SliceCalls({ session, sessions, clock: () => 0, log, onState: () => {} });
  /** Acquires on a budget of a namespace of its own. */
  const newBudget = () => {
    const limits = [{ bindingId: newId("bnd"), dimension: "money" as const, limit: 0, isShadow: false, terms: "" }];
    const set = session.setOf({ limits, isCentral: false, name: limits[0]?.bindingId ?? "" }, newId("ns"));
    if (set === undefined) throw new Error("the session is full");
    return async (bounds: SliceBounds) => {
      const reservation = await calls.acquire(set, bounds);
      if (reservation !== undefined) session.startDoubt(0);
      return reservation;
    };
  };
  return { asked, service, session, newBudget };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Tells if a promise is resolved after so many milliseconds. */
async function isResolvedAfter(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let isResolved = false;
  void promise.then(() => (isResolved = true));
  await vi.advanceTimersByTimeAsync(ms);
  return isResolved;
}

it("a call names no amount beyond 2^53 - 1, however large the bounds of all that wait are together", async () => {
  const { asked, newBudget } = callsOnBudgets();
  const acquire = newBudget();
  const all = [acquire(HALF), acquire(HALF), acquire(HALF)];
  await vi.advanceTimersByTimeAsync(200);
  await Promise.all(all);
  expect(asked.length).toBeGreaterThan(1);
  for (const { needed, doubt, free, wanted } of asked)
    for (const amount of [needed, doubt, free, wanted]) expect(amount).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER);
});

describe("a request for which only too much is in doubt", () => {
  it("waits for the log, without a call", async () => {
    const { asked, session, newBudget } = callsOnBudgets();
    const acquire = newBudget();
    const first = acquire(SMALL);
    await vi.advanceTimersByTimeAsync(0);
    const reservation = await first;
    if (reservation === undefined) throw new Error("not admitted on slices");
    const [second, third] = [acquire(SMALL), acquire(SMALL)];
    expect(await isResolvedAfter(second, 50)).toBe(false);
    session.endDoubt(reservation, 0);
    expect((await second)?.bounds).toEqual(SMALL);
    // The second is in doubt itself now.
    expect(await isResolvedAfter(third, 49)).toBe(false);
    expect(asked).toHaveLength(1);
  });

  it("is left to the policy service where the log acknowledges nothing for 100 ms", async () => {
    const { asked, newBudget } = callsOnBudgets();
    const acquire = newBudget();
    const first = acquire(SMALL);
    await vi.advanceTimersByTimeAsync(0);
    expect(await first).toBeDefined();
    const second = acquire(SMALL);
    expect(await isResolvedAfter(second, 99)).toBe(false);
    expect(await isResolvedAfter(second, 1)).toBe(true);
    expect([await second, asked.length]).toEqual([undefined, 1]);
  });
});

describe("while a call has no answer for 500 ms", () => {
  it("nothing waits for it, nor for the next one of its namespace", async () => {
    const { service, newBudget } = callsOnBudgets();
    service.isHanging = true;
    const acquire = newBudget();
    const first = acquire(SMALL);
    await vi.advanceTimersByTimeAsync(400);
    const behind = acquire(SMALL);
    await vi.advanceTimersByTimeAsync(100);
    const later = acquire(SMALL);
    await vi.advanceTimersByTimeAsync(0);
    expect(await Promise.all([first, behind, later])).toEqual([undefined, undefined, undefined]);
  });

  it("other namespaces wait no longer than that for a call of their own", async () => {
    const { service, newBudget } = callsOnBudgets();
    service.isHanging = true;
    for (let call = 0; call < 4; call++) {
      void newBudget()(SMALL);
      await vi.advanceTimersByTimeAsync(10);
    }
    const other = newBudget()(SMALL);
    expect(await isResolvedAfter(other, 500)).toBe(true);
    const later = newBudget()(SMALL);
    expect(await isResolvedAfter(later, 0)).toBe(true);
  });
});
