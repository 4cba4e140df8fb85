import { timestampMs } from "@bufbuild/protobuf/wkt";
import { BudgetWindow, Dimension, PrincipalType } from "@routeplane/contracts/policy";
import { microToNano as nano, newId } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SettlementReport } from "../src/domain/sessions/reports.ts";
import { createReportStore } from "../src/store/report-store.ts";
import { openGateway } from "./gateway-under-test.ts";
import { type PolicyUnderTest, requestOf, SERVICE_TOKEN, startPolicyUnderTest, used } from "./policy-under-test.ts";

/** Budgets of calendar windows. The time zones are chosen by the present hour, so that no day ends meanwhile; a past day is moved there. */

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

/** Time zone whose clocks show this hour now. */
function zoneAt(hour: number): string {
  const offset = ((hour - new Date().getUTCHours() + 36) % 24) - 12;
  return offset === 0 ? "Etc/GMT" : `Etc/GMT${offset > 0 ? "-" : "+"}${Math.abs(offset)}`;
}

/** First moment of the present or a later day or month of a time zone, as computed by Postgres. */
async function startOf(unit: "day" | "month", timeZone: string, later = 0): Promise<number> {
  const { rows } = await policy.admin.within({}, (tx) =>
    sql<{ ms: string }>`select extract(epoch from (date_trunc(${unit}, now() at time zone ${timeZone})
      + ${later}::int * ('1 ' || ${unit})::interval) at time zone ${timeZone}) * 1000 as ms`.execute(tx),
  );
  return Number(rows[0]?.ms);
}

/** Namespace with a key and a budget of a calendar window. */
async function calendarBudget(window: (typeof WINDOWS)[number][0], timeZone: string, limitMicroUsd = 1_000n) {
  const own = policy.newNamespace();
  const { namespaceId, key } = own;
  const { policy: made, binding } = await policy.bound(namespaceId, {
    kind: "budget",
    window,
    timeZone,
    limitMicroUsd,
  });
  const admit = (micro: bigint) => policy.admission.admit(requestOf(namespaceId, key.lineage, micro));
  return {
    ...own,
    id: made.id,
    name: made.name,
    binding,
    admit,
    spend: async (micro: bigint) => {
      const request = requestOf(namespaceId, key.lineage, micro);
      expect(await policy.admission.admit(request)).toMatchObject({ outcome: "admitted" });
      await policy.admission.settle(request, used(nano(micro)));
    },
    limit: async () => (await own.effective.getOwnLimits({})).limits[0] ?? expect.fail("no limit"),
    /** Moves all counted amounts to the day that began at that time. */
    moveTo: (ms: number) => policy.tamper(sql`update counters set spend[2] = ${ms} where binding_id = ${binding.id}`),
  };
}

const WINDOWS = [
  ["calendar_day", "day", BudgetWindow.CALENDAR_DAY],
  ["calendar_month", "month", BudgetWindow.CALENDAR_MONTH],
] as const;

describe.each(WINDOWS)("a budget of a %s", (window, unit, protoWindow) => {
  it("refuses what does not fit until the first moment of the next one, to the millisecond", async () => {
    const timeZone = zoneAt(12);
    const { spend, admit, name } = await calendarBudget(window, timeZone);
    await spend(1_000n);
    const denied = await admit(1n);
    expect(denied).toMatchObject({
      outcome: "denied",
      rule: "budget",
      retryAtMs: await startOf(unit, timeZone, 1),
      message: expect.stringContaining(`budget "${name}" (${window} in ${timeZone}, 1000 micro-USD)`),
    });
  });

  it("does not count what was spent before it began", async () => {
    const timeZone = zoneAt(12);
    const { spend, admit, limit, moveTo } = await calendarBudget(window, timeZone);
    await spend(1_000n);
    const start = await startOf(unit, timeZone);
    const { rows } = await policy.admin.within({}, (tx) =>
      sql<{ ms: string }>`select extract(epoch from (to_timestamp(${start} / 1000.0) at time zone ${timeZone}
        - interval '1 day') at time zone ${timeZone}) * 1000 as ms`.execute(tx),
    );
    await moveTo(Number(rows[0]?.ms));
    expect(await limit()).toMatchObject({ used: 0n, left: 1_000n });
    expect((await limit()).resetsAt).toBeUndefined();
    expect(await admit(1_000n)).toMatchObject({ outcome: "admitted" });
  });

  it("reports its window, its time zone and the start of the next window among own limits, and in the effective policy", async () => {
    const timeZone = zoneAt(12);
    const { spend, limit, effective, namespaceId } = await calendarBudget(window, timeZone);
    await spend(400n);
    const next = await startOf(unit, timeZone, 1);
    const own = await limit();
    expect(own).toMatchObject({ window: protoWindow, timeZone, windowSecs: 0, used: 400n, left: 600n });
    expect(timestampMs(own.resetsAt ?? expect.fail("never resets"))).toBe(next);
    const { effectivePolicy } = await effective.getEffectivePolicy({
      principalType: PrincipalType.NAMESPACE,
      principalId: namespaceId,
    });
    const [budget] = effectivePolicy?.budgets ?? [];
    expect(budget).toMatchObject({ spec: { window: protoWindow, timeZone }, spentMicroUsd: 400n });
    expect(timestampMs(budget?.freesUpAt ?? expect.fail("never frees up"))).toBe(next);
  });

  it("has no time zone among its own limits if it is another window", async () => {
    const { namespaceId, effective } = policy.newNamespace();
    await policy.budget(namespaceId, 5n);
    expect((await effective.getOwnLimits({})).limits).toMatchObject([{ timeZone: "" }]);
  });
});

describe("an edit", () => {
  it("of the time zone, back and forth before midnight and with other windows between, gives nothing back", async () => {
    const timeZone = zoneAt(22);
    const { spend, admit, limit, budgets, id } = await calendarBudget("calendar_day", timeZone, 1_010n);
    await spend(1_000n);
    let spent = 1_000n;
    const { CALENDAR_DAY, CALENDAR_MONTH, DAY, TOTAL } = BudgetWindow;
    for (const change of [
      { timeZone: zoneAt(0) },
      { timeZone: zoneAt(12) },
      { window: CALENDAR_MONTH },
      { timeZone },
      { window: CALENDAR_DAY },
      { window: DAY },
      { window: CALENDAR_MONTH, timeZone: zoneAt(1) },
      { window: TOTAL },
      { window: CALENDAR_DAY, timeZone: zoneAt(0) },
      { timeZone },
    ]) {
      await budgets.updateBudget({ id, ...change });
      // Writes the counter in the new window.
      await spend(1n);
      expect(await limit()).toMatchObject({ used: ++spent, left: 1_010n - spent });
    }
    expect(await admit(1n)).toMatchObject({ outcome: "denied" });
  });
});

describe("a counter that a clock ahead has dated", () => {
  it("counts now and tomorrow", async () => {
    const timeZone = zoneAt(12);
    const { spend, admit, moveTo } = await calendarBudget("calendar_day", timeZone);
    await spend(1_000n);
    await moveTo(await startOf("day", timeZone, 1));
    expect(await admit(1n)).toMatchObject({ outcome: "denied", retryAtMs: await startOf("day", timeZone, 2) });
  });
});

describe("reports of a session", () => {
  /** Session with a slice of a calendar budget in limit set 1, whose counter has a bucket for now. */
  async function session(hour: number) {
    const own = await calendarBudget("calendar_day", zoneAt(hour), 1_000_000n);
    const { namespaceId, key, binding } = own;
    const gateway = openGateway(policy.as(SERVICE_TOKEN).sessions);
    await gateway.renew();
    const counters = [{ bindingId: binding.id, dimension: Dimension.MONEY, needed: 100_000n }];
    expect((await gateway.acquire({ namespaceId, limitSet: 1, counters })).grants[0]?.granted).toBe(true);
    const reportOf = (costNano: bigint): SettlementReport => ({
      namespaceId,
      keyId: key.id,
      requestId: newId("req"),
      sessionId: gateway.sessionId,
      limitSet: 1,
      countedAtMs: undefined,
      boundNano: 1_000n,
      tokensMax: 10n,
      end: { kind: "settled", costNano, tokens: 3n },
    });
    const store = createReportStore(policy.database);
    await store.apply(namespaceId, [reportOf(1_000n)]);
    const inOneStatement = async (reports: readonly SettlementReport[]) =>
      (await store.applyPlain([{ namespaceId, reports }]))[0]?.size;
    const spend = async () => {
      const { rows } = await policy.admin.within({}, (tx) =>
        sql<{ spend: string[]; spend_time_zone: string }>`
          select spend::text[], spend_time_zone from counters where binding_id = ${binding.id}`.execute(tx),
      );
      return rows[0];
    };
    return { ...own, store, reportOf, inOneStatement, stored: spend };
  }

  it("give the same sums in one statement (in the first 22 hours of a day) and by the general path (after them)", async () => {
    const [early, late] = [await session(12), await session(22)];
    for (const costs of [[5n, 7n], [1_500n], [0n, 11n]]) {
      const [first, second] = [early, late].map(({ reportOf }) => costs.map(reportOf));
      expect(await early.inOneStatement(first ?? [])).toBe(costs.length);
      expect(await late.inOneStatement(second ?? [])).toBe(0);
      await late.store.apply(late.namespaceId, second ?? []);
    }
    const [, , ...sums] = (await early.stored())?.spend ?? [];
    expect(sums).toEqual(["2523"]);
    for (const each of [early, late])
      expect(await each.stored()).toEqual({
        spend: ["1", String(await startOf("day", (await each.limit()).timeZone)), "2523"],
        spend_time_zone: (await each.limit()).timeZone,
      });
    expect(await early.limit()).toMatchObject({ used: 3n });
  });

  it("after midnight open a new day, and never add to yesterday's", async () => {
    const { store, reportOf, inOneStatement, stored, namespaceId, limit, moveTo } = await session(12);
    const { timeZone } = await limit();
    const [yesterday, today] = [await startOf("day", timeZone, -1), await startOf("day", timeZone)];
    await moveTo(yesterday);
    const reports = [reportOf(7n)];
    expect(await inOneStatement(reports)).toBe(0);
    await store.apply(namespaceId, reports);
    expect((await stored())?.spend).toEqual(["1", String(today), "7", "1000"]);
    expect(await limit()).toMatchObject({ used: 1n });
    expect(await inOneStatement([reportOf(5n)])).toBe(1);
    expect((await stored())?.spend).toEqual(["1", String(today), "12", "1000"]);
  });
});
