import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LimitSet, type SliceReservation } from "./limit-set.ts";
import { RateSlices } from "./rate-slices.ts";
import { StandingSlice } from "./standing-slice.ts";

/** Sums of a slice as the authority has them. */
interface AuthoritySums {
  granted: number;
  returned: number;
  used: number;
}

function money(granted: number, doubt = granted): StandingSlice {
  const slice = new StandingSlice("bnd_1", "money");
  slice.grant(granted, doubt);
  return slice;
}

function setOf(
  slices: readonly StandingSlice[],
  requests: readonly RateSlices[] = [],
  tokens: readonly RateSlices[] = [],
) {
  const [ofMoney, slots] = [
    slices.filter(({ dimension }) => dimension === "money"),
    slices.filter(({ dimension }) => dimension !== "money"),
  ];
  return new LimitSet({ money: ofMoney, slots, requests, tokens });
}

const NOW = 1_000;

describe("a limit set", () => {
  it("admits a request on all of its counters or on none", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ granted: fc.nat(50), doubt: fc.nat(50) }), { minLength: 1, maxLength: 6 }),
        fc.array(fc.nat(20), { maxLength: 20 }),
        (grants, bounds) => {
          const slices = grants.map(({ granted, doubt }) => money(granted, doubt));
          const set = setOf(slices);
          for (const nanoUsd of bounds) {
            const before = slices.map(({ free }) => free);
            const fits =
              nanoUsd === 0 ||
              slices.every((slice) => slice.free >= nanoUsd && slice.inDoubt + nanoUsd <= slice.doubtMax);
            const reservation = set.reserve({ nanoUsd, tokens: 0 }, NOW);
            expect(reservation !== undefined).toBe(fits);
            expect(slices.map(({ free }) => free)).toEqual(before.map((free) => (fits ? free - nanoUsd : free)));
          }
        },
      ),
    );
  });

  it("never has more free and running than the authority has outstanding, whatever is lost, late, repeated or overtaken", () => {
    const step = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant("acquire" as const),
          amount: fc.integer({ min: 1, max: 40 }),
          isLost: fc.boolean(),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ do: fc.constant("answer" as const), which: fc.nat(), isRepeated: fc.boolean() }),
      },
      { weight: 6, arbitrary: fc.record({ do: fc.constant("admit" as const), amount: fc.nat(12) }) },
      {
        weight: 5,
        arbitrary: fc.record({ do: fc.constantFrom("acknowledge" as const, "end" as const), which: fc.nat() }),
      },
      { weight: 4, arbitrary: fc.record({ do: fc.constant("settle" as const), which: fc.nat(), cost: fc.nat(18) }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant("report" as const), which: fc.nat() }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("return" as const), amount: fc.nat(30) }) },
    );
    let steps = 0;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: "max" }), (all) => {
        const slice = money(0, 0);
        const set = setOf([slice]);
        const authority: AuthoritySums = { granted: 0, returned: 0, used: 0 };
        const answers: { granted: number; doubt: number }[] = [];
        const running: SliceReservation[] = [];
        const finished: { bound: number; cost: number }[] = [];
        for (const each of all) {
          steps++;
          if (each.do === "acquire") {
            // The call reports the present sums; a lost answer is repeated and grants nothing.
            authority.returned = Math.max(authority.returned, slice.returned);
            if (authority.granted <= slice.granted) authority.granted += each.amount;
            if (!each.isLost) answers.push({ granted: authority.granted, doubt: each.amount });
          } else if (each.do === "answer") {
            const answer = answers[each.which % answers.length];
            if (answer === undefined) continue;
            slice.grant(answer.granted, answer.doubt);
            if (!each.isRepeated) answers.splice(answers.indexOf(answer), 1);
          } else if (each.do === "admit") {
            const reservation = set.reserve({ nanoUsd: each.amount, tokens: 0 }, NOW);
            if (reservation !== undefined) running.push(reservation);
          } else if (each.do === "settle") {
            const [reservation] = running.splice(each.which % Math.max(1, running.length), 1);
            if (reservation === undefined) continue;
            reservation.settle(each.cost);
            reservation.settle(each.cost);
            finished.push({ bound: reservation.bounds.nanoUsd, cost: each.cost });
          } else if (each.do === "report") {
            const [report] = finished.splice(each.which % Math.max(1, finished.length), 1);
            if (report !== undefined) authority.used += Math.min(report.bound, report.cost);
          } else if (each.do === "return") slice.giveBack(each.amount);
          else {
            const reservation = running[each.which % Math.max(1, running.length)];
            if (each.do === "end") reservation?.end();
            else reservation?.acknowledgeAdmission();
          }
          const unreported = finished.reduce((sum, { bound, cost }) => sum + Math.min(bound, cost), 0);
          const outstanding = authority.granted - authority.returned - authority.used;
          expect(slice.free).toBeGreaterThanOrEqual(0);
          expect(slice.inDoubt).toBeGreaterThanOrEqual(0);
          expect(slice.inDoubt).toBeLessThanOrEqual(slice.doubtMax);
          expect(slice.free + slice.running + unreported).toBeLessThanOrEqual(outstanding);
        }
      }),
      { numRuns: 1_000 },
    );
    expect(steps).toBeGreaterThan(20_000);
  });

  it("frees slots at the end of a request, and the money that it did not use once the log has its settlement", () => {
    const [budget, slots] = [money(10), new StandingSlice("bnd_2", "concurrent")];
    slots.grant(1, 0);
    const set = setOf([budget, slots]);
    const reservation = set.reserve({ nanoUsd: 6, tokens: 0 }, NOW);
    expect(set.check({ nanoUsd: 1, tokens: 0 }, NOW)).toBe("slice");
    reservation?.end();
    expect([budget.free, slots.free]).toEqual([4, 1]);
    reservation?.settle(2);
    expect([budget.free, slots.free]).toEqual([8, 1]);
  });

  it("does not take a cost beyond the bound from other requests", () => {
    const budget = money(10);
    setOf([budget]).reserve({ nanoUsd: 4, tokens: 0 }, NOW)?.settle(1_000);
    expect(budget.free).toBe(6);
  });

  it("lets no more be in doubt than the authority holds back", () => {
    const budget = money(100, 5);
    const set = setOf([budget]);
    const first = set.reserve({ nanoUsd: 5, tokens: 0 }, NOW);
    expect(set.check({ nanoUsd: 1, tokens: 0 }, NOW)).toBe("doubt");
    first?.acknowledgeAdmission();
    first?.acknowledgeAdmission();
    expect(set.check({ nanoUsd: 5, tokens: 0 }, NOW)).toBe(true);
    // No acknowledgement makes it fit.
    expect(set.check({ nanoUsd: 6, tokens: 0 }, NOW)).toBe("slice");
  });

  it("uses a rate slice until its end, and returns the unused part once", () => {
    const requests = new RateSlices("bnd_1", "requests");
    requests.grant({ amount: 2, countedAtMs: 9_000, endsAtMs: NOW + 10 });
    const set = setOf([], [requests]);
    expect(set.reserve({ nanoUsd: 0, tokens: 0 }, NOW)?.countedAtMs).toBe(9_000);
    expect(set.check({ nanoUsd: 0, tokens: 0 }, NOW + 10)).toBe("slice");
    requests.expire(NOW + 10);
    expect(requests.takeUnused()).toEqual([{ amount: 1, countedAtMs: 9_000 }]);
    expect(requests.takeUnused()).toEqual([]);
  });

  it("counts a request at the earliest of its rate slices", () => {
    const [requests, tokens] = [new RateSlices("bnd_1", "requests"), new RateSlices("bnd_1", "tokens")];
    requests.grant({ amount: 1, countedAtMs: 9_000, endsAtMs: NOW + 10 });
    tokens.grant({ amount: 3, countedAtMs: 7_000, endsAtMs: NOW + 5 });
    tokens.grant({ amount: 9, countedAtMs: 8_000, endsAtMs: NOW + 10 });
    const set = setOf([], [requests], [tokens]);
    expect(set.reserve({ nanoUsd: 0, tokens: 4 }, NOW)?.countedAtMs).toBe(8_000);
    expect(tokens.freeAt(NOW)).toBe(8);
  });
});
