import { Dimension, ReportOutcome } from "@routeplane/contracts/policy";
import { type Id, newId } from "@routeplane/domain";
import { eventually } from "@routeplane/testing";
import { type RawBuilder, sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ReportedEnd, SettlementReport } from "../src/domain/sessions/reports.ts";
import { createReportStore } from "../src/store/report-store.ts";
import { openGateway } from "./gateway-under-test.ts";
import { type PolicyUnderTest, SERVICE_TOKEN, startPolicyUnderTest } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const GRANTED = 1_000_000n;
const BOUND = 1_000n;

/** Session with slices of two budgets of a namespace; one limit set has both, the other only the first. */
async function sessionOnBudgets() {
  const { namespaceId, key, binding } = await policy.oneBudget(1_000_000n, "total");
  const other = await policy.budget(namespaceId, 1_000_000n, undefined, "month");
  const gateway = openGateway(policy.as(SERVICE_TOKEN).sessions);
  await gateway.renew();
  const counters = [binding, other.binding].map(({ id }) => ({
    bindingId: id,
    dimension: Dimension.MONEY,
    needed: GRANTED,
  }));
  const { grants } = await gateway.acquire({ namespaceId, limitSet: 1, counters });
  expect(grants[0]?.granted).toBe(true);
  await gateway.money(namespaceId, binding.id, { granted: GRANTED }, 2);
  const reportOf = (end: ReportedEnd, limitSet = 1, requestId = newId("req")): SettlementReport => ({
    namespaceId,
    keyId: key.id,
    requestId,
    sessionId: gateway.sessionId,
    limitSet,
    countedAtMs: undefined,
    boundNano: BOUND,
    tokensMax: 10n,
    end,
  });
  return { namespaceId, gateway, reportOf, state: () => stateOf(namespaceId) };
}

type Session = Awaited<ReturnType<typeof sessionOnBudgets>>;

const settled = (costNano: bigint): ReportedEnd => ({ kind: "settled", costNano, tokens: 3n });

/** Everything that reports change in a namespace, without ids and times. */
async function stateOf(namespaceId: Id<"ns">) {
  const select = async <T>(statement: RawBuilder<T>) =>
    (await policy.admin.within({}, (tx) => statement.execute(tx))).rows;
  const counters = await select(
    sql`select reserved_nano, open_holds, (select sum(each) from unnest(spend[3:]) each) as spent
      from counters where namespace_id = ${namespaceId} order by binding_id`,
  );
  const slices = await select(
    sql`select granted, returned, used, held_back from slices where namespace_id = ${namespaceId} order by binding_id`,
  );
  const rows = await select(
    sql`select state, cost_nano, amount_nano, tokens, cardinality(budget_binding_ids) as budgets, closed_at is null as is_open
      from holds where namespace_id = ${namespaceId} order by request_id`,
  );
  return { counters, slices, rows };
}

/** Store that has read the limit sets of a session, whose budgets have a bucket for now. */
async function warmStore({ namespaceId, reportOf }: Session) {
  const store = createReportStore(policy.database);
  await store.apply(namespaceId, [reportOf(settled(1n)), reportOf(settled(1n), 2)]);
  return store;
}

/** Numbers in a fixed order. */
function sequence(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

describe("reports on budgets alone", () => {
  it("are applied in one statement, each new one once", async () => {
    const session = await sessionOnBudgets();
    const store = await warmStore(session);
    const { namespaceId, reportOf } = session;
    const reports = [settled(5n), settled(BOUND + 7n), settled(0n), { kind: "unknown" } as const].map((end) =>
      reportOf(end),
    );
    const names = new Set(reports.map(({ keyId, requestId }) => `${keyId} ${requestId}`));
    expect(await store.applyPlain([{ namespaceId, reports }])).toEqual([names]);
    const after = await session.state();
    expect(after).toMatchObject({
      // 1 and 1 of the first reports, which count only on the first budget; the cost beyond a bound is spent, but not from the slice.
      counters: [{ spent: 2_014n, reserved_nano: GRANTED - 2_007n }, { spent: 2_013n }],
      slices: [{ used: 2_007n }, { used: 2_006n }],
    });
    expect(await store.applyPlain([{ namespaceId, reports }])).toEqual([new Set()]);
    expect(await session.state()).toEqual(after);
  });

  it("have the same effect as one by one in several statements, in any order and number", async () => {
    const pick = sequence(20_26);
    const [together, apart] = [await sessionOnBudgets(), await sessionOnBudgets()];
    const stores = [await warmStore(together), await warmStore(apart)];
    const known: [Id<"req">, number][] = [];
    let plain = 0;
    for (let round = 0; round < 30; round++) {
      const drawn = Array.from({ length: 1 + pick(5) }, (): [Id<"req">, number, ReportedEnd] => {
        const repeated = pick(4) === 0 ? known[pick(Math.max(1, known.length))] : undefined;
        const [requestId, limitSet] = repeated ?? [newId("req"), 1 + pick(2)];
        const ends = [
          settled(BigInt(pick(1_500))),
          settled(0n),
          { kind: "unknown" },
          { kind: "released", neverSent: pick(2) === 0 },
        ] as const;
        return [requestId, limitSet, ends[pick(ends.length)] ?? settled(1n)];
      });
      const distinct = [...new Map(drawn.map((each) => [each[0], each])).values()];
      for (const [requestId, limitSet] of distinct) known.push([requestId, limitSet]);
      const [first, second] = [together, apart].map(({ reportOf }) =>
        distinct.map(([requestId, limitSet, end]) => reportOf(end, limitSet, requestId)),
      );
      const [done] = (await stores[0]?.applyPlain([{ namespaceId: together.namespaceId, reports: first ?? [] }])) ?? [];
      plain += done?.size ?? 0;
      const others = (first ?? []).filter(({ keyId, requestId }) => done?.has(`${keyId} ${requestId}`) !== true);
      if (others.length > 0) await stores[0]?.apply(together.namespaceId, others);
      for (const report of second ?? []) await stores[1]?.apply(apart.namespaceId, [report]);
      expect(await together.state()).toEqual(await apart.state());
    }
    expect(plain).toBeGreaterThan(40);
  });

  it("of several namespaces are applied although one of them waits for a lock", async () => {
    const sessions = [await sessionOnBudgets(), await sessionOnBudgets(), await sessionOnBudgets()];
    const [locked, ...others] = sessions;
    const report = (session: Session) =>
      session.gateway.settled(session.namespaceId, BOUND, 5n, { sessionId: session.gateway.sessionId });
    // Of all of them, so that the store knows their limit sets.
    await Promise.all(sessions.map((session) => session.gateway.report(report(session))));
    const spent = async (session: Session | undefined) =>
      session && [...(await policy.totals(session.namespaceId)).values()].map(({ spentNano }) => spentNano);
    const { promise: isFree, resolve: free } = Promise.withResolvers<void>();
    const { promise: isHeld, resolve: hold } = Promise.withResolvers<void>();
    const holding = policy.admin.within({}, async (tx) => {
      await sql`select from counters where namespace_id = ${locked?.namespaceId} for update`.execute(tx);
      hold();
      await isFree;
    });
    await isHeld;
    const reported = locked?.gateway.report(...sessions.map(report));
    for (const session of others) await eventually(async () => (await spent(session))?.every((each) => each === 10n));
    expect(await spent(locked)).toEqual([5n, 5n]);
    free();
    await holding;
    expect(await reported).toEqual(sessions.map(() => ReportOutcome.DONE));
    expect(await spent(locked)).toEqual([10n, 10n]);
  });

  it("that are repeated at the same moment count once", async () => {
    const { namespaceId, gateway, state } = await sessionOnBudgets();
    await gateway.report(gateway.settled(namespaceId, BOUND, 1n));
    const reports = Array.from({ length: 5 }, () => gateway.settled(namespaceId, BOUND, 10n));
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => gateway.report(...reports)));
    expect(new Set(outcomes.flat())).toEqual(new Set([ReportOutcome.DONE]));
    expect(await state()).toMatchObject({ counters: [{ spent: 51n }, { spent: 51n }] });
  });
});

describe("reports that need more than additions change nothing in one statement", () => {
  const changes: Readonly<Record<string, (session: Session) => Promise<unknown>>> = {
    "where a budget begins a new bucket": ({ namespaceId }) =>
      policy.tamper(
        sql`update counters set spend[2] = spend[2] - 1 where namespace_id = ${namespaceId} and spend[1] > 0`,
      ),
    "where nothing was counted in a budget": ({ namespaceId }) =>
      policy.tamper(sql`update counters set spend = null where namespace_id = ${namespaceId}`),
    "where something is held back": ({ namespaceId }) =>
      policy.tamper(
        sql`with held as (update slices set held_back = 5 where namespace_id = ${namespaceId})
          update counters set reserved_nano = reserved_nano + 5 where namespace_id = ${namespaceId}`,
      ),
    "where less is outstanding than was used": ({ namespaceId }) =>
      policy.tamper(sql`update slices set returned = granted - used where namespace_id = ${namespaceId}`),
    "of a session that is closed": ({ gateway }) =>
      policy.tamper(sql`update gateway_sessions set state = 'closed' where id = ${gateway.sessionId}`),
  };
  it.for(Object.entries(changes))("%s", async ([, change]) => {
    const session = await sessionOnBudgets();
    const store = await warmStore(session);
    const { namespaceId, reportOf } = session;
    await change(session);
    const before = await session.state();
    const reports = [reportOf(settled(5n)), reportOf(settled(6n))];
    expect(await store.applyPlain([{ namespaceId, reports }])).toEqual([new Set()]);
    expect(await session.state()).toEqual(before);
    expect(await store.apply(namespaceId, reports)).toEqual(["done", "done"]);
  });

  it("with a rate limit, of this service's admission, or on a limit set that was not read yet", async () => {
    const session = await sessionOnBudgets();
    const { namespaceId, gateway, reportOf } = session;
    const { binding } = await policy.bound(namespaceId, { kind: "rate_limit", windowSecs: 60, maxTokens: 1_000n });
    const counters = [{ bindingId: binding.id, dimension: Dimension.TOKENS, needed: 1n }];
    await gateway.acquire({ namespaceId, limitSet: 3, counters });
    const store = createReportStore(policy.database);
    const changesNothing = async (report: SettlementReport): Promise<void> => {
      const before = await session.state();
      expect(await store.applyPlain([{ namespaceId, reports: [report] }])).toEqual([new Set()]);
      expect(await session.state()).toEqual(before);
    };
    await changesNothing(reportOf(settled(5n)));
    await store.apply(namespaceId, [reportOf(settled(1n)), reportOf(settled(1n), 3)]);
    await changesNothing(reportOf(settled(5n), 0));
    await changesNothing(reportOf(settled(5n), 3));
  });
});
