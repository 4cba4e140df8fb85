import { newId } from "@routeplane/domain";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expire, type Hold, type HoldChange, settle, voidHold } from "./hold.ts";

const EXPIRES_AT = new Date(1_000_000);
const open: Hold = {
  requestId: newId("req"),
  bindingIds: [newId("bnd")],
  amountNano: 5_000n,
  outputTokensMax: 5n,
  expiresAt: EXPIRES_AT,
  state: "open",
  closedAt: undefined,
};

type Step = { readonly call: "settle"; readonly costNano: bigint } | { readonly call: "void" | "expire" };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ call: fc.constant("settle" as const), costNano: fc.bigInt({ min: 0n, max: 10_000n }) }),
  fc.record({ call: fc.constantFrom("void" as const, "expire" as const) }),
);

function changeOf(hold: Hold, each: Step, now: Date): HoldChange | undefined {
  if (each.call === "settle") return settle(hold, each.costNano, now);
  return each.call === "void" ? voidHold(hold) : expire(hold, now);
}

function inState(hold: Hold, state: Hold["state"], closedAt: Date): Hold {
  return { ...hold, state, closedAt };
}

/** What a budget has reserved and spent after all of it, and what happened. */
function play(steps: readonly Step[]) {
  let hold = open;
  let reserved = open.amountNano;
  let spent = 0n;
  const effective: Step[] = [];
  for (const [n, each] of steps.entries()) {
    const now = new Date(EXPIRES_AT.getTime() + n);
    const change = changeOf(hold, each, now);
    if (change === undefined) continue;
    effective.push(each);
    reserved -= change.releaseNano;
    spent += change.charge?.nano ?? 0n;
    hold = inState(hold, change.state, now);
  }
  return { reserved, spent, effective };
}

describe("a hold", () => {
  it("is closed once, whatever is called in whatever order; only a settlement follows an expiry", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), (steps) => {
        const { reserved, spent, effective } = play(steps);
        const [first, second, ...more] = effective;
        expect(more).toEqual([]);
        if (second !== undefined) expect([first?.call, second.call]).toEqual(["expire", "settle"]);
        expect(reserved).toBe(0n);
        const last = second ?? first;
        const expected = last?.call === "settle" ? last.costNano : last?.call === "expire" ? open.amountNano : 0n;
        expect(spent).toBe(expected);
      }),
      { numRuns: 1_000 },
    );
  });

  it("does not expire before its time", () => {
    expect(expire(open, new Date(EXPIRES_AT.getTime() - 1))).toBeUndefined();
    expect(expire(open, EXPIRES_AT)).toMatchObject({ state: "expired", charge: { nano: 5_000n, at: EXPIRES_AT } });
  });

  it("that expired gets back what was charged too much where it was charged, and its overrun is spent now", () => {
    const [then, now] = [new Date(2_000_000), new Date(9_000_000)];
    const expired: Hold = { ...open, state: "expired", closedAt: then };
    expect(settle(expired, 1_000n, now)?.charge).toEqual({ nano: -4_000n, at: then });
    expect(settle(expired, 7_000n, now)?.charge).toEqual({ nano: 2_000n, at: now });
  });
});
