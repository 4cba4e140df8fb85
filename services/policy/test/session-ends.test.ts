import { ReportOutcome, SessionState } from "@routeplane/contracts/policy";
import { type Id, newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { eventually } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { releaseClosed } from "../src/domain/sessions/gateway-sessions.ts";
import { createEndMissedRenewals } from "../src/domain/sessions/missed-renewals.ts";
import { releaseClosedSessions } from "../src/jobs/end-sessions.ts";
import { createSessionStore } from "../src/store/session-store.ts";
import { createSliceStore } from "../src/store/slice-store.ts";
import { openGateway } from "./gateway-under-test.ts";
import { type PolicyUnderTest, SERVICE_TOKEN, startPolicyUnderTest } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
let store: ReturnType<typeof createSessionStore>;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
  store = createSessionStore(policy.database);
});
afterAll(() => policy.stop());

const LENGTH_MS = 30_000;
const { OPEN, ENDED, CLOSED } = SessionState;

/** Process of the service that watches sessions, on a clock of its own. */
function observer(startMs = 0) {
  const clock = { nowMs: startMs };
  const look = createEndMissedRenewals(store, LENGTH_MS, () => clock.nowMs);
  return {
    async lookAfter(ms: number): Promise<readonly Id<"gws">[]> {
      clock.nowMs += ms;
      return look();
    },
  };
}

async function openSession() {
  const { key, binding, total } = await policy.oneBudget(1_000n);
  const gateway = openGateway(policy.as(SERVICE_TOKEN).sessions);
  await gateway.renew();
  const { namespaceId } = key;
  const money = (counter: Parameters<typeof gateway.money>[2]) => gateway.money(namespaceId, binding.id, counter);
  return { ...gateway, namespaceId, bindingId: binding.id, total, money };
}

describe("a session", () => {
  it("ends once a process has seen its number unchanged for the whole length, and not before", async () => {
    const { sessionId, money, renew } = await openSession();
    await money({ needed: 10_000n });
    const process = observer();
    expect(await process.lookAfter(0)).not.toContain(sessionId);
    expect(await process.lookAfter(LENGTH_MS - 1)).not.toContain(sessionId);
    await renew(2n, 5n);
    expect(await process.lookAfter(1)).not.toContain(sessionId);
    expect(await process.lookAfter(LENGTH_MS - 1)).not.toContain(sessionId);
    expect(await process.lookAfter(1)).toContain(sessionId);
    expect(await renew(3n, 6n)).toMatchObject({ state: ENDED });
    expect(await money({ granted: 10_000n, needed: 1n })).toMatchObject({ state: ENDED, isGranted: false });
  });

  it("lives for the whole length again if the process that watched it died, whatever the clocks of others show", async () => {
    const { sessionId } = await openSession();
    const first = observer();
    await first.lookAfter(0);
    await first.lookAfter(LENGTH_MS - 1);
    const second = observer(9e12);
    expect(await second.lookAfter(0)).not.toContain(sessionId);
    expect(await second.lookAfter(LENGTH_MS - 1)).not.toContain(sessionId);
    expect(await second.lookAfter(1)).toContain(sessionId);
  });

  it("that is watched by slow queries lives for the whole length from one result to the next query", async () => {
    const { sessionId } = await openSession();
    const clock = { nowMs: 0 };
    const slow = {
      open: async () => {
        const open = await store.open();
        clock.nowMs += 10_000;
        return open;
      },
      end: (id: Id<"gws">, renewal: bigint) => store.end(id, renewal),
    };
    const look = createEndMissedRenewals(slow, LENGTH_MS, () => clock.nowMs);
    expect(await look()).not.toContain(sessionId);
    // Answered after 10 s and queried again 29.999 s later, whenever that query is answered.
    clock.nowMs += LENGTH_MS - 1;
    expect(await look()).not.toContain(sessionId);
    expect(await look()).toContain(sessionId);
  });

  it("that is renewed between check and end continues", async () => {
    const { sessionId, renew } = await openSession();
    expect(await store.end(sessionId, 1n)).toBe(true);
    const other = await openSession();
    await other.renew(2n, 3n);
    expect(await store.end(other.sessionId, 1n)).toBe(false);
    expect(await other.renew(3n, 4n)).toMatchObject({ state: OPEN });
    expect(await renew(2n, 1n)).toMatchObject({ state: ENDED });
  });

  it("that its owner has left is granted nothing, and ends by itself with its slices reserved", async () => {
    const { sessionId, money, close, total } = await openSession();
    await money({ needed: 10_000n });
    const process = observer();
    await process.lookAfter(0);
    expect(await close(false)).toMatchObject({ state: ENDED });
    expect(await money({ granted: 10_000n, needed: 1n })).toMatchObject({ state: ENDED, isGranted: false });
    expect(await process.lookAfter(LENGTH_MS)).toContain(sessionId);
    expect((await total())?.reservedNano).toBe(10_000n);
    expect(await close(true)).toMatchObject({ state: CLOSED });
    expect((await total())?.reservedNano).toBe(0n);
  });

  it("does not end while a grant of it is being written, and is granted nothing after", async () => {
    const { sessionId, namespaceId, bindingId, money, total } = await openSession();
    const grants = Array.from({ length: 10 }, (_, n) => money({ granted: BigInt(n) * 1_000n, needed: 1_000n }));
    const [ended, ...answers] = await Promise.all([store.end(sessionId, 1n), ...grants]);
    expect(ended).toBe(true);
    const granted = answers.filter(({ isGranted }) => isGranted === true).length;
    expect((await total())?.reservedNano).toBe(BigInt(granted) * 1_000n);
    const rows = await policy.admin.within({}, (tx) =>
      tx.selectFrom("slices").select("granted").where("binding_id", "=", bindingId).execute(),
    );
    expect(rows.reduce((sum, row) => sum + row.granted, 0n)).toBe(BigInt(granted) * 1_000n);
    expect(namespaceId).toMatch(/^ns_/);
  });

  it("that was closed by a process that died is freed by another, in every namespace", async () => {
    const gateway = openGateway(policy.as(SERVICE_TOKEN).sessions);
    await gateway.renew();
    const budgets = await Promise.all([policy.oneBudget(100n), policy.oneBudget(100n), policy.oneBudget(100n)]);
    for (const { key, binding } of budgets) await gateway.money(key.namespaceId, binding.id, { needed: 9_000n });
    await store.close(gateway.sessionId);
    expect(await store.closedLately()).toContain(gateway.sessionId);
    const slices = createSliceStore(policy.database);
    await slices.release(gateway.sessionId, budgets[1]?.key.namespaceId ?? newId("ns"));
    await releaseClosed(slices, gateway.sessionId);
    for (const { total } of budgets) expect((await total())?.reservedNano).toBe(0n);
    expect(await slices.namespacesOf(gateway.sessionId, undefined)).toEqual([]);
  });

  it("that was closed is freed although another one cannot be, and that one once it can", async () => {
    const closed = await Promise.all(
      Array.from({ length: 3 }, async () => {
        const gateway = openGateway(policy.as(SERVICE_TOKEN).sessions);
        await gateway.renew();
        const budget = await policy.oneBudget(100n, "total");
        await gateway.money(budget.key.namespaceId, budget.binding.id, { needed: 9_000n });
        await store.close(gateway.sessionId);
        return { ...budget, sessionId: gateway.sessionId };
      }),
    );
    const order = await store.closedLately();
    const [first, ...others] = closed.toSorted((a, b) => order.indexOf(a.sessionId) - order.indexOf(b.sessionId));
    if (first === undefined) throw new Error("no session was closed");
    const isFreed = async ({ total }: typeof first) => (await total())?.reservedNano === 0n;
    const areFreed = async (budgets: typeof closed) => (await Promise.all(budgets.map(isFreed))).every(Boolean);
    const setWindow = (window: unknown) =>
      policy.tamper(sql`update counters set spend = ${window} where binding_id = ${first.binding.id}`);
    // A window of another release, which cannot be read.
    await setWindow(sql`array_fill(1, array[200])`);
    const log = createLogger("policy", () => "");
    const job = releaseClosedSessions(store, createSliceStore(policy.database), log);
    try {
      await eventually(() => areFreed(others));
      await setWindow(null);
      await eventually(() => isFreed(first));
    } finally {
      await job.stop();
    }
  });
});

describe("many sessions on one counter", () => {
  it("are never granted more than the limit together, over several processes, and each report counts once", async () => {
    const { key, binding, total } = await policy.oneBudget(500n);
    const { namespaceId } = key;
    const services = [policy.as(SERVICE_TOKEN), policy.process(), policy.process()];
    const gateways = Array.from({ length: 30 }, (_, n) =>
      openGateway(services[n % 3]?.sessions ?? expect.fail("no process")),
    );
    await Promise.all(gateways.map((gateway) => gateway.renew()));
    const spent = await Promise.all(
      gateways.map(async (gateway) => {
        let [granted, used] = [0n, 0n];
        for (let round = 0; round < 6; round++) {
          // A busy service refuses a call, or leaves a report out, for its gateway to repeat.
          const answer = await eventually(() =>
            gateway.money(namespaceId, binding.id, { granted, needed: 5_000n, wanted: 20_000n }),
          );
          granted = answer.granted ?? granted;
          if (granted - used < 5_000n) continue;
          const report = gateway.settled(namespaceId, 5_000n, 5_000n);
          const untilProcessed = () =>
            eventually(async () => {
              const outcomes = await gateway.report(report);
              return !outcomes.includes(ReportOutcome.UNSPECIFIED) && outcomes;
            });
          const outcomes = await Promise.all([untilProcessed(), untilProcessed()]);
          expect(outcomes).toEqual([[ReportOutcome.DONE], [ReportOutcome.DONE]]);
          used += 5_000n;
          const { spentNano = 0n, reservedNano = 0n } = (await total()) ?? {};
          expect(spentNano + reservedNano).toBeLessThanOrEqual(500_000n);
        }
        return used;
      }),
    );
    await Promise.all(gateways.map((gateway) => gateway.close()));
    const spentNano = spent.reduce((sum, each) => sum + each, 0n);
    expect(await total()).toMatchObject({ spentNano, reservedNano: 0n });
    // What is left can be used to the last nano-USD.
    const last = openGateway(policy.as(SERVICE_TOKEN).sessions);
    await last.renew();
    const rest = 500_000n - spentNano;
    expect(await last.money(namespaceId, binding.id, { needed: rest + 1n })).toMatchObject({ isGranted: false });
    expect(await last.money(namespaceId, binding.id, { needed: rest })).toMatchObject({
      isGranted: true,
      remaining: 0n,
    });
  });
});
