import { Dimension, ReportOutcome, SessionState } from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openGateway } from "./gateway-under-test.ts";
import { type PolicyUnderTest, SERVICE_TOKEN, startPolicyUnderTest } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const MICRO = 1_000n;
const { OPEN, ENDED, CLOSED } = SessionState;
const { DONE, REFUSED } = ReportOutcome;
const sessions = () => policy.as(SERVICE_TOKEN).sessions;

/** Open session of a gateway, and a namespace with one budget. */
async function gatewayOn(limitMicroUsd: bigint) {
  const budget = await policy.oneBudget(limitMicroUsd);
  const gateway = openGateway(sessions());
  await gateway.renew();
  const { namespaceId } = budget.key;
  const bindingId = budget.binding.id;
  return {
    ...budget,
    ...gateway,
    bindingId,
    money: (counter: Parameters<typeof gateway.money>[2]) => gateway.money(namespaceId, bindingId, counter),
    settled: (boundNano: bigint, costNano: bigint) => gateway.settled(namespaceId, boundNano, costNano),
  };
}

describe("a session", () => {
  it("opens with its first renewal, for 30 s, and repeating a renewal has no effect", async () => {
    const gateway = openGateway(sessions());
    expect(await gateway.renew(1n)).toMatchObject({ state: OPEN, lengthMs: 30_000 });
    expect(await gateway.renew(1n)).toMatchObject({ state: OPEN });
    expect(await gateway.renew(2n, 9n)).toMatchObject({ state: OPEN });
    expect(await gateway.renew(2n, 9n)).toMatchObject({ state: OPEN });
    expect(await gateway.renew(5n, 3n)).toMatchObject({ state: OPEN });
  });

  it("is ended, and can no longer be renewed, once another process uses one of its numbers", async () => {
    const gateway = openGateway(sessions());
    await gateway.renew(1n, 7n);
    await gateway.renew(2n, 8n);
    expect(await gateway.renew(2n, 9n)).toMatchObject({ state: ENDED });
    expect(await gateway.renew(3n, 8n)).toMatchObject({ state: ENDED });
  });

  it("refuses an earlier number, and continues with the next", async () => {
    const gateway = openGateway(sessions());
    await gateway.renew(1n, 7n);
    await gateway.renew(2n, 8n);
    expect(await gateway.renew(1n, 7n)).toMatchObject({ state: ENDED });
    expect(await gateway.renew(3n, 8n)).toMatchObject({ state: OPEN });
  });

  it("that is not known is not open: it is neither renewed nor granted anything", async () => {
    const { key, binding } = await policy.oneBudget(100n);
    const gateway = openGateway(sessions());
    expect(await gateway.renew(2n)).toMatchObject({ state: ENDED });
    expect(await gateway.money(key.namespaceId, binding.id, { needed: 1n })).toMatchObject({
      state: ENDED,
      isGranted: false,
    });
  });
});

describe("money", () => {
  it("is granted as needed, and more as far as that is fair; all of it is reserved", async () => {
    const { money, total } = await gatewayOn(1_000n);
    const granted = await money({ needed: 10n * MICRO, wanted: 1_000n * MICRO, doubt: 5n });
    // A 32nd of the limit.
    expect(granted).toMatchObject({ isGranted: true, gone: false, granted: 41_250n, returned: 0n, doubt: 5n });
    expect(granted.remaining).toBe(958_750n);
    expect((await total())?.reservedNano).toBe(41_250n);
  });

  it("that was granted by a call with a lost answer is reported again, without a further grant", async () => {
    const { money, total } = await gatewayOn(1_000n);
    await money({ needed: 10n * MICRO });
    expect(await money({ needed: 10n * MICRO })).toMatchObject({ isGranted: false, granted: 10_000n });
    expect(await money({ needed: 10n * MICRO, granted: 10_000n })).toMatchObject({ isGranted: true, granted: 20_000n });
    expect((await total())?.reservedNano).toBe(20_000n);
  });

  it("that is returned is free again, once, whichever call is repeated or late", async () => {
    const { money, total } = await gatewayOn(1_000n);
    await money({ needed: 10n * MICRO });
    expect(await money({ granted: 10_000n, returned: 4_000n })).toMatchObject({ returned: 4_000n, isGranted: true });
    await money({ granted: 10_000n, returned: 4_000n });
    expect(await money({ granted: 10_000n, returned: 1_000n })).toMatchObject({ returned: 4_000n });
    expect((await total())?.reservedNano).toBe(6_000n);
    // Never more than was granted.
    expect(await money({ granted: 10_000n, returned: 90_000n })).toMatchObject({ returned: 10_000n });
    expect((await total())?.reservedNano).toBe(0n);
  });

  it("is never granted beyond the limit: what does not fit is not granted at all", async () => {
    const { money, total } = await gatewayOn(100n);
    expect(await money({ needed: 100n * MICRO })).toMatchObject({ isGranted: true, remaining: 0n });
    expect(await money({ granted: 100_000n, needed: 1n, wanted: 5n })).toMatchObject({ isGranted: false });
    expect(await money({ granted: 100_000n, needed: 0n, wanted: 5n })).toMatchObject({
      isGranted: true,
      granted: 100_000n,
    });
    expect((await total())?.reservedNano).toBe(100_000n);
  });

  it("is granted on all counters or on none", async () => {
    const first = await gatewayOn(100n);
    const { namespaceId } = first.key;
    const second = await policy.budget(namespaceId, 50n);
    const counter = (bindingId: string) => ({ bindingId, dimension: Dimension.MONEY, needed: 60n * MICRO });
    const { grants } = await first.acquire({
      namespaceId,
      limitSet: 1,
      counters: [counter(first.bindingId), counter(second.binding.id)],
    });
    expect(grants).toMatchObject([{ granted: false, counters: [{ granted: 0n }, { granted: 0n }] }]);
    for (const { reservedNano } of (await policy.totals(namespaceId)).values()) expect(reservedNano).toBe(0n);
  });

  it("of a counter that is gone, disabled or of another namespace is refused as such", async () => {
    const { key, settled: _, budget, acquire } = await gatewayOn(100n);
    const elsewhere = await policy.oneBudget(100n);
    await policy.disable(budget.id);
    const ids = [newId("bnd"), elsewhere.binding.id];
    for (const bindingId of ids) {
      const counters = [{ bindingId, dimension: Dimension.MONEY, needed: 1n }];
      const { grants } = await acquire({ namespaceId: key.namespaceId, limitSet: 1, counters });
      expect(grants).toMatchObject([{ granted: false, counters: [{ gone: true, granted: 0n, remaining: 0n }] }]);
    }
    expect((await elsewhere.total())?.reservedNano).toBe(0n);
  });

  it("of several sessions is shared: each gets less beyond its need", async () => {
    const { money, key, bindingId } = await gatewayOn(1_000n);
    await money({ needed: 1n });
    const other = openGateway(sessions());
    await other.renew();
    const shared = await other.money(key.namespaceId, bindingId, { needed: 10n, wanted: 1_000n * MICRO });
    expect(shared.granted).toBe(10n + 1_000_000n / 64n);
  });
});

describe("a report", () => {
  it("turns what was used into spend, once, and leaves the rest outstanding", async () => {
    const { money, settled, report, total } = await gatewayOn(1_000n);
    await money({ needed: 100n * MICRO });
    const reports = [settled(50_000n, 30_000n), settled(50_000n, 20_000n)];
    expect(await report(...reports)).toEqual([DONE, DONE]);
    expect(await report(...reports)).toEqual([DONE, DONE]);
    expect(await total()).toMatchObject({ spentNano: 50_000n, reservedNano: 50_000n });
    expect(await money({ granted: 100_000n, returned: 50_000n })).toMatchObject({ remaining: 950_000n });
    expect(await total()).toMatchObject({ spentNano: 50_000n, reservedNano: 0n });
  });

  it("of a cost beyond the bound takes the bound from the slice, and adds the rest to the spent amount", async () => {
    const { money, settled, report, total } = await gatewayOn(1_000n);
    await money({ needed: 100n * MICRO });
    await report(settled(40_000n, 70_000n));
    expect(await total()).toMatchObject({ spentNano: 70_000n, reservedNano: 60_000n });
  });

  it("of a cost without a bound is charged, also on a budget without any grant yet", async () => {
    const { money, settled, report, total } = await gatewayOn(1_000n);
    expect(await money({ needed: 0n })).toMatchObject({ isGranted: true, granted: 0n });
    expect(await report(settled(0n, 7_000n))).toEqual([DONE]);
    expect(await total()).toMatchObject({ spentNano: 7_000n, reservedNano: 0n });
  });

  it("twice in one call counts once", async () => {
    const { money, settled, report, total } = await gatewayOn(1_000n);
    await money({ needed: 100n * MICRO });
    const one = settled(50_000n, 30_000n);
    const unknown = { ...one, end: { case: "unknown" as const, value: {} } };
    expect(await report(unknown, one, one)).toEqual([DONE, DONE, DONE]);
    expect(await total()).toMatchObject({ spentNano: 30_000n, reservedNano: 70_000n });
  });

  it("of an unknown end charges the bound, which a later settlement corrects", async () => {
    const { money, settled, report, total } = await gatewayOn(1_000n);
    await money({ needed: 100n * MICRO });
    const one = settled(40_000n, 25_000n);
    await report({ ...one, end: { case: "unknown", value: {} } });
    expect(await total()).toMatchObject({ spentNano: 40_000n, reservedNano: 60_000n });
    await report(one);
    expect(await total()).toMatchObject({ spentNano: 25_000n, reservedNano: 60_000n });
    await report({ ...one, end: { case: "unknown", value: {} } }, one);
    expect(await total()).toMatchObject({ spentNano: 25_000n, reservedNano: 60_000n });
  });

  it("of a release charges nothing, also later", async () => {
    const { money, settled, report, total } = await gatewayOn(1_000n);
    await money({ needed: 100n * MICRO });
    const one = settled(40_000n, 25_000n);
    await report({ ...one, end: { case: "released", value: { neverSent: true } } });
    await report(one);
    expect(await total()).toMatchObject({ spentNano: 0n, reservedNano: 100_000n });
  });

  it("after the session has ended is still applied", async () => {
    const { money, settled, report, total, sessionId } = await gatewayOn(1_000n);
    await money({ needed: 100n * MICRO });
    await policy.tamper(sql`update gateway_sessions set state = 'ended', ended_at = now() where id = ${sessionId}`);
    expect(await money({ granted: 100_000n, needed: 1n })).toMatchObject({
      state: ENDED,
      isGranted: false,
    });
    await report(settled(40_000n, 25_000n));
    expect(await total()).toMatchObject({ spentNano: 25_000n, reservedNano: 75_000n });
  });

  it("after the session was settled lowers what is held back", async () => {
    const { money, settled, report, total, sessionId, key } = await gatewayOn(1_000n);
    await money({ needed: 100n * MICRO });
    await policy.tamper(sql`update gateway_sessions set state = 'settled' where id = ${sessionId}`);
    await policy.tamper(sql`update slices set returned = 100000, held_back = 30000 where session_id = ${sessionId}`);
    await policy.tamper(sql`update counters set reserved_nano = 30000 where namespace_id = ${key.namespaceId}`);
    await report(settled(40_000n, 25_000n));
    expect(await total()).toMatchObject({ spentNano: 25_000n, reservedNano: 5_000n });
    await report(settled(40_000n, 25_000n));
    expect(await total()).toMatchObject({ spentNano: 50_000n, reservedNano: 0n });
  });

  it("after the session is closed changes nothing, and gets the outcome DONE", async () => {
    const { money, settled, report, total, close } = await gatewayOn(1_000n);
    await money({ needed: 100n * MICRO });
    expect(await close()).toMatchObject({ state: CLOSED });
    expect(await report(settled(40_000n, 25_000n))).toEqual([DONE]);
    expect(await total()).toMatchObject({ spentNano: 0n, reservedNano: 0n });
    const { rows } = await policy.admin.within({}, (tx) =>
      sql`select from holds where amount_nano = 40000 and cost_nano = 25000 and namespace_id not in (select namespace_id from bindings)`.execute(
        tx,
      ),
    );
    expect(rows).toEqual([]);
  });

  it("of a session that is not known is kept as a row, and refused 30 days after the session was made", async () => {
    const { key, settled, report, total } = await gatewayOn(1_000n);
    const one = settled(40_000n, 25_000n);
    expect(await report({ ...one, sessionId: newId("gws") })).toEqual([DONE]);
    const old = "gws_01h00000000000000000000000";
    const [refused] = await report({ ...settled(40_000n, 25_000n), sessionId: old });
    expect(refused).toBe(REFUSED);
    expect(await total()).toMatchObject({ spentNano: 0n, reservedNano: 0n });
    const rows = await policy.admin.within({}, (tx) =>
      tx.selectFrom("holds").select("request_id").where("namespace_id", "=", key.namespaceId).execute(),
    );
    expect(rows).toEqual([{ request_id: one.requestId }]);
  });

  it("that no request can have is refused, and does not block others", async () => {
    const { money, settled, report, total } = await gatewayOn(1_000n);
    await money({ needed: 100n * MICRO });
    const good = settled(40_000n, 25_000n);
    const absurd = settled(1n, 9_000_000_000_000_000_000n);
    const tokens = { ...settled(1n, 1n), tokensMax: 10n ** 15n };
    const { end: _, ...endless } = settled(1n, 1n);
    const malformed = { ...settled(1n, 1n), requestId: "req_x" };
    const setless = { ...settled(1n, 1n), sessionId: "" };
    expect(await report(absurd, tokens, good, endless, malformed, setless)).toEqual([
      REFUSED,
      REFUSED,
      DONE,
      REFUSED,
      REFUSED,
      REFUSED,
    ]);
    expect(await total()).toMatchObject({ spentNano: 25_000n });
  });

  it("is skipped for a removed binding, and applied to the others", async () => {
    const { key, bindingId, acquire, settled, report, budget } = await gatewayOn(1_000n);
    const { namespaceId } = key;
    const other = await policy.budget(namespaceId, 500n);
    const counters = [bindingId, other.binding.id].map((id) => ({
      bindingId: id,
      dimension: Dimension.MONEY,
      needed: 100n * MICRO,
    }));
    await acquire({ namespaceId, limitSet: 1, counters });
    const caller = policy.as(key.token);
    await caller.policies.unbindPolicy({ policyId: budget.id, bindingId });
    const { rows } = await policy.admin.within({}, (tx) =>
      sql`select from slices where binding_id = ${bindingId}`.execute(tx),
    );
    expect(rows).toEqual([]);
    expect(await report(settled(40_000n, 25_000n))).toEqual([DONE]);
    expect([...(await policy.totals(namespaceId)).values()]).toMatchObject([
      { spentNano: 25_000n, reservedNano: 75_000n },
    ]);
  });
});

describe("a central request that is reported", () => {
  /** Gateway on a budget, with the ends of a request as reports. */
  async function centralOn() {
    const on = await gatewayOn(1_000n);
    const ends = ({ keyId, requestId }: ReturnType<typeof on.request>) => {
      const names = { namespaceId: on.key.namespaceId, keyId, requestId, sessionId: "", limitSet: 0, boundNanoUsd: 0n };
      return {
        settled: (costNanoUsd: bigint) => ({
          ...names,
          end: { case: "settled" as const, value: { costNanoUsd, tokens: 0n } },
        }),
        released: { ...names, end: { case: "released" as const, value: { neverSent: true } } },
        unknown: { ...names, end: { case: "unknown" as const, value: {} } },
      };
    };
    return { ...on, ends };
  }

  it("is settled, released or charged in full, as by Settle and Void", async () => {
    const { request, ends, report, total } = await centralOn();
    const [first, second, third] = [request(10n), request(20n), request(30n)];
    for (const each of [first, second, third]) await policy.admission.admit(each);
    const reports = [ends(first).settled(4_000n), ends(second).released, ends(third).unknown];
    expect(await report(...reports)).toEqual([DONE, DONE, DONE]);
    expect(await report(...reports)).toEqual([DONE, DONE, DONE]);
    expect(await total()).toMatchObject({ spentNano: 34_000n, reservedNano: 0n });
    await report(ends(third).settled(5_000n));
    expect(await total()).toMatchObject({ spentNano: 9_000n, reservedNano: 0n });
  });

  it("without a reservation: a settlement changes nothing, and a release keeps a late admission from making one", async () => {
    const { request, ends, report, total } = await centralOn();
    const [first, second] = [request(10n), request(20n)];
    expect(await report(ends(first).settled(4_000n))).toEqual([DONE]);
    expect(await report(ends(second).released)).toEqual([DONE]);
    expect(await report(ends(second).released)).toEqual([DONE]);
    await expect(policy.admission.admit(second)).rejects.toMatchObject({ reason: "STATE_CONFLICT" });
    expect(await policy.admission.admit(first)).toMatchObject({ outcome: "admitted" });
    expect(await total()).toMatchObject({ spentNano: 0n, reservedNano: 10_000n });
  });
});
