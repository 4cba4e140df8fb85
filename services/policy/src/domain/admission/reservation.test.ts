import { newId } from "@routeplane/domain";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  expireReservation,
  type Reservation,
  type ReservationChange,
  settleReservation,
  releaseReservation,
} from "./reservation.ts";

const EXPIRES_AT = new Date(1_000_000);
const open: Reservation = {
  keyId: newId("key"),
  requestId: newId("req"),
  budgetBindingIds: [newId("bnd")],
  rateBindingIds: [newId("bnd")],
  reservedNano: 5_000n,
  tokens: 50n,
  openedAt: new Date(900_000),
  outputTokensMax: 5n,
  expiresAt: EXPIRES_AT,
  state: "open",
  endedAt: undefined,
};

type Step = { readonly call: "settle"; readonly costNano: bigint } | { readonly call: "void" | "expire" };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ call: fc.constant("settle" as const), costNano: fc.bigInt({ min: 0n, max: 10_000n }) }),
  fc.record({ call: fc.constantFrom("void" as const, "expire" as const) }),
);

function changeOf(reservation: Reservation, step: Step, now: Date): ReservationChange | undefined {
  if (step.call === "settle")
    return settleReservation(reservation, { costNano: step.costNano, tokens: step.costNano / 100n }, now);
  return step.call === "void" ? releaseReservation(reservation, false) : expireReservation(reservation, now);
}

function inState(reservation: Reservation, state: Reservation["state"], endedAt: Date): Reservation {
  return { ...reservation, state, endedAt };
}

/** Runs steps on one reservation and returns the state of its limits, with the steps that had an effect. */
function play(steps: readonly Step[]) {
  let reservation = open;
  let reserved = open.reservedNano;
  let tokens = open.tokens;
  let slots = 1;
  let spent = 0n;
  const effective: Step[] = [];
  for (const [n, each] of steps.entries()) {
    const now = new Date(EXPIRES_AT.getTime() + n);
    const change = changeOf(reservation, each, now);
    if (change === undefined) continue;
    effective.push(each);
    const { releaseNano, charge, freesSlot } = change.end;
    reserved -= releaseNano;
    tokens += change.end.tokens?.amount ?? 0n;
    if (freesSlot) slots -= 1;
    spent += charge?.amount ?? 0n;
    reservation = inState(reservation, change.state, now);
  }
  return { reserved, spent, tokens, slots, effective };
}

describe("a reservation", () => {
  it("ends once, whatever the calls and their order; only a settlement follows an expiry", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), (steps) => {
        const { reserved, spent, tokens, slots, effective } = play(steps);
        const [first, second, ...more] = effective;
        expect(more).toEqual([]);
        if (second !== undefined) expect([first?.call, second.call]).toEqual(["expire", "settle"]);
        expect([reserved, slots]).toEqual([0n, 0]);
        const last = second ?? first;
        const expected = last?.call === "settle" ? last.costNano : last?.call === "expire" ? open.reservedNano : 0n;
        expect(spent).toBe(expected);
        const unknown = last?.call === "expire" ? open.tokens : 0n;
        expect(tokens).toBe(last?.call === "settle" ? last.costNano / 100n : unknown);
      }),
      { numRuns: 1_000 },
    );
  });

  it("does not expire before its time", () => {
    expect(expireReservation(open, new Date(EXPIRES_AT.getTime() - 1))).toBeUndefined();
    expect(expireReservation(open, EXPIRES_AT)).toMatchObject({
      state: "expired",
      end: { charge: { amount: 5_000n, atMs: EXPIRES_AT.getTime() } },
    });
  });

  it("that expired has its excess charge corrected at the moment of the charge, and its overrun spent now", () => {
    const [then, now] = [new Date(2_000_000), new Date(9_000_000)];
    const expired: Reservation = { ...open, state: "expired", endedAt: then };
    expect(settleReservation(expired, { costNano: 1_000n, tokens: 9n }, now)?.end).toMatchObject({
      charge: { amount: -4_000n, atMs: 2_000_000 },
      tokens: { amount: -41n, atMs: 900_000 },
    });
    const over = settleReservation(expired, { costNano: 7_000n, tokens: 60n }, now)?.end;
    expect(over?.charge).toEqual({ amount: 2_000n, atMs: 9_000_000 });
  });
});
