import { BudgetWindow, PrincipalType } from "@routeplane/contracts/policy";
import { RequestStatus } from "@routeplane/contracts/usage";
import { type Id, microToNano as nano, newId } from "@routeplane/domain";
import { toTimestamp } from "@routeplane/rpc";
import { type RawBuilder, sql } from "kysely";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ReservationKey } from "../src/domain/ports.ts";
import {
  MICRO_PER_TOKEN,
  type PolicyUnderTest,
  refusal,
  requestOf,
  startPolicyUnderTest,
  used,
} from "./policy-under-test.ts";

/** Reconciliation of budgets with the request log and with their counters. */

let policy: PolicyUnderTest;
let operator: ReturnType<PolicyUnderTest["as"]>["budgetAdmin"];
beforeAll(async () => {
  policy = await startPolicyUnderTest();
  operator = policy.as(policy.operator(["usage:read"])).budgetAdmin;
});
afterAll(() => policy.stop());
afterEach(async () => {
  policy.usage.charges.length = 0;
  await policy.tamper(sql`delete from holds`);
  await policy.tamper(sql`delete from bindings`);
});

type BudgetedNamespace = Awaited<ReturnType<PolicyUnderTest["oneBudget"]>>;

/** Adds a row to the request log. */
function log({ namespaceId, keyId, requestId }: ReservationKey, status: RequestStatus, cost = 0n) {
  const createdAt = toTimestamp(new Date());
  policy.usage.charges.push({ namespaceId, keyId, requestId, status, costNanoUsd: nano(cost), createdAt });
}

const charge = (requestId: string) => {
  const row = policy.usage.charges.find((each) => each.requestId === requestId);
  return row ?? expect.fail("no such row");
};

/** Admits and settles a request, and adds its row to the log. */
async function spend({ request }: BudgetedNamespace, reserved: bigint, cost: bigint): Promise<ReservationKey> {
  const one = request(reserved);
  await policy.admission.admit(one);
  await policy.admission.settle(one, used(nano(cost)));
  log(one, RequestStatus.SUCCEEDED, cost);
  return one;
}

const makeDueToExpire = ({ requestId }: ReservationKey) =>
  policy.tamper(
    sql`update holds set expires_at = clock_timestamp() - interval '1 second' where request_id = ${requestId}`,
  );

/** Reads all pages and returns their sums and differences. */
async function reconcile(range: { from?: Date; to?: Date } = {}) {
  const rangeFields = {
    ...(range.from && { from: toTimestamp(range.from) }),
    ...(range.to && { to: toTimestamp(range.to) }),
  };
  const sum = {
    namespaces: 0,
    requests: 0n,
    running: 0n,
    services: 0n,
    counters: 0n,
    partial: 0n,
    differences: [] as string[],
  };
  for (let pageToken = ""; ;) {
    const page = await operator.reconcileBudgets({ ...rangeFields, pageToken });
    sum.namespaces += page.namespaceCount;
    sum.requests += page.requestCount;
    sum.running += page.runningCount;
    sum.services += page.serviceCount;
    sum.counters += page.counterCount;
    sum.partial += page.partialCounterCount;
    sum.differences.push(
      ...page.differences.map(({ subject: { case: name, value } }) => {
        if (name === "charge") {
          const { requestId, holdState, budgetMicroUsd, requestStatus, logMicroUsd } = value;
          return `${requestId}: ${holdState || "-"} ${budgetMicroUsd}, ${requestStatus || "-"} ${logMicroUsd}`;
        }
        if (name !== "counter") return expect.fail("nothing differs");
        const { bindingId, quantity, countedMicroUsd, expectedMicroUsd, expectedMicroUsdMax } = value;
        return `${bindingId}: ${quantity} ${countedMicroUsd}, not ${expectedMicroUsd} to ${expectedMicroUsdMax ?? "?"}`;
      }),
    );
    pageToken = page.nextPageToken;
    if (pageToken === "") return sum;
  }
}

/** Dates every binding an hour back. */
const boundLongAgo = () => policy.tamper(sql`update bindings set created_at = created_at - interval '1 hour'`);

describe("agreement", () => {
  it("reports no difference, whatever the outcome of the requests; running ones are counted separately", async () => {
    const budgeted = await policy.oneBudget(10_000n, "hour");
    const { request, namespaceId, key } = budgeted;
    await policy.budget(namespaceId, 10_000n, key.id, "month");
    await policy.budget(namespaceId, 10_000n, key.id, "total");
    await spend(budgeted, 100n, 60n);
    await spend(budgeted, 100n, 170n);
    const admitted = async () => {
      const one = request(50n);
      await policy.admission.admit(one);
      return one;
    };
    const [voided, neverSeen, running, overdue] = [
      await admitted(),
      await admitted(),
      await admitted(),
      await admitted(),
    ];
    const [expired, late] = [await admitted(), await admitted()];
    await policy.admission.void(voided, false);
    log(voided, RequestStatus.FAILED);
    await policy.admission.void(neverSeen, true);
    log(running, RequestStatus.PENDING);
    for (const each of [expired, late]) await makeDueToExpire(each);
    // The first reservation expires the one that is due, and neither is in the log yet.
    for (let times = 0; times < 2; times++) await admitted();
    log(expired, RequestStatus.UNKNOWN, 50n);
    await policy.admission.settle(late, used(nano(20n)));
    log(late, RequestStatus.SUCCEEDED, 20n);
    await makeDueToExpire(overdue);
    log(overdue, RequestStatus.UNKNOWN, 50n);
    const givenUp = await admitted();
    log(givenUp, RequestStatus.UNKNOWN, 50n);
    // A request from about the time of the binding may have come before it.
    log(request(9n), RequestStatus.SUCCEEDED, 9n);
    log(request(9n), RequestStatus.UNKNOWN, 9n);
    log(request(9n), RequestStatus.DENIED);
    expect(await reconcile()).toEqual({
      namespaces: 1,
      requests: 8n,
      running: 3n,
      services: 0n,
      counters: 3n,
      partial: 0n,
      differences: [],
    });
  });

  it("is found in every namespace, of the log and of the budgets, over any number of pages", async () => {
    const budgeted = await policy.oneBudget(10_000n);
    const { namespaceId, key, binding } = budgeted;
    await policy.tamper(sql`
      insert into holds (namespace_id, key_id, request_id, budget_binding_ids, amount_nano, output_tokens_max, expires_at, state,
        closed_at, cost_nano)
      select ${namespaceId}, ${key.id}, 'req_' || lpad(n::text, 26, '0'), array[${binding.id}], 5000, 0, now(), 'settled', now(), 5000
      from generate_series(1, 2345) n`);
    await policy.tamper(sql`update counters set spend = array[0, 0, 2345 * 5000]`);
    for (let n = 1; n <= 2345; n++) {
      const requestId = `req_${String(n).padStart(26, "0")}` as Id<"req">;
      log({ namespaceId, keyId: key.id, requestId }, RequestStatus.SUCCEEDED, 5n);
    }
    const elsewhere = requestOf(newId("ns"), [newId("key")], 1n);
    log(elsewhere, RequestStatus.SUCCEEDED, 1n);
    expect(await reconcile()).toEqual({
      namespaces: 2,
      requests: 2345n,
      running: 0n,
      services: 0n,
      counters: 1n,
      partial: 0n,
      differences: [],
    });
  });

  it("is found while requests come and go: no counter is read between a reservation and its charge", async () => {
    const { request } = await policy.oneBudget(1_000_000n, "hour");
    const load = { done: false };
    const working = Array.from({ length: 4 }, async () => {
      while (!load.done) {
        const one = request(10n);
        await policy.admission.admit(one);
        log(one, RequestStatus.PENDING);
        await policy.admission.settle(one, used(nano(7n)));
        Object.assign(charge(one.requestId), { status: RequestStatus.SUCCEEDED, costNanoUsd: nano(7n) });
      }
    });
    for (let times = 0; times < 10; times++) expect((await reconcile()).differences).toEqual([]);
    load.done = true;
    await Promise.all(working);
    expect(await reconcile()).toMatchObject({ requests: BigInt(policy.usage.charges.length), differences: [] });
  });

  it("in the end is no difference: events that were in transit are read again", async () => {
    const budgeted = await policy.oneBudget(1_000n);
    const one = budgeted.request(10n);
    await policy.admission.admit(one);
    await policy.admission.settle(one, used(nano(7n)));
    const reading = reconcile();
    setTimeout(() => log(one, RequestStatus.SUCCEEDED, 7n), 200);
    expect(await reading).toMatchObject({ requests: 1n, differences: [] });
  });

  it("in many namespaces is no difference while gateways report them seconds late", async () => {
    const late: (() => Promise<void>)[] = [];
    for (let n = 0; n < 12; n++) {
      const { request } = await policy.oneBudget(1_000n);
      const one = request(10n);
      log(one, RequestStatus.SUCCEEDED, 7n);
      late.push(async () => {
        await policy.admission.admit(one);
        await policy.admission.settle(one, used(nano(7n)));
      });
    }
    await boundLongAgo();
    const reading = reconcile();
    setTimeout(() => void Promise.all(late.map((report) => report())), 3_000);
    expect(await reading).toMatchObject({ differences: [] });
  });
});

describe("requests of services, which no gateway logs", () => {
  it("are counted separately in every state, and hide no lost row of a gateway's request", async () => {
    const budgeted = await policy.oneBudget(10_000n);
    const { namespaceId, key } = budgeted;
    const { admission } = policy.as(policy.service([namespaceId]));
    const admitted = async () => {
      const one = { namespaceId, keyId: key.id, requestId: newId("req"), lineage: [...key.lineage] };
      await admission.admit({ ...one, price: MICRO_PER_TOKEN, outputTokensMax: 100n });
      return one;
    };
    const [settled, voided] = [await admitted(), await admitted(), await admitted()];
    await admission.settle({ ...settled, costNanoUsd: nano(60n) });
    await admission.void({ ...voided, neverSent: true });
    await spend(budgeted, 100n, 60n);
    const lost = await spend(budgeted, 100n, 50n);
    policy.usage.charges.splice(policy.usage.charges.indexOf(charge(lost.requestId)), 1);
    expect(await reconcile()).toEqual({
      namespaces: 1,
      requests: 2n,
      running: 0n,
      services: 3n,
      counters: 1n,
      partial: 0n,
      differences: [`${lost.requestId}: settled 50, - 0`],
    });
  });
});

describe("a fault is reported, and nothing else", () => {
  const changeReservation = (change: string) => (one: ReservationKey) =>
    policy.tamper(sql`update holds set ${sql.raw(change)} where request_id = ${one.requestId}`);
  const row = (change: object) => (one: ReservationKey) => Object.assign(charge(one.requestId), change);
  const another = newId("key");

  /** Faults: a change to a request that reserved 100 micro-USD and cost 60, and the differences that it makes. */
  const FAULTS: readonly [string, (one: ReservationKey) => unknown, readonly string[]][] = [
    ["none", () => {}, []],
    ["a row's cost", row({ costNanoUsd: nano(61n) }), ["settled 60, succeeded 61"]],
    ["a row's cost, by a nano-USD", row({ costNanoUsd: 60_001n }), ["settled 60, succeeded 61"]],
    [
      "a row that is gone",
      (one) => policy.usage.charges.splice(policy.usage.charges.indexOf(charge(one.requestId)), 1),
      ["settled 60, - 0"],
    ],
    [
      "a row that is there twice",
      (one) => policy.usage.charges.push({ ...charge(one.requestId), namespaceId: one.namespaceId }),
      ["settled 60, succeeded 120"],
    ],
    ["a row of another key", row({ keyId: another }), ["settled 60, - 0", "- 0, succeeded 60"]],
    [
      "a row that says unknown",
      row({ status: RequestStatus.UNKNOWN, costNanoUsd: nano(100n) }),
      ["settled 60, unknown 100"],
    ],
    ["the cost of a reservation", changeReservation("cost_nano = 59000"), ["settled 59, succeeded 60"]],
    [
      "a reservation that is gone",
      (one) => policy.tamper(sql`delete from holds where request_id = ${one.requestId}`),
      ["- 0, succeeded 60"],
    ],
    [
      "a reservation that was voided",
      changeReservation("state = 'voided', cost_nano = null"),
      ["voided 0, succeeded 60"],
    ],
    [
      "a reservation that is open though its request has ended",
      changeReservation("state = 'open', closed_at = null, cost_nano = null"),
      ["open 100, succeeded 60"],
    ],
  ];

  it("of a request, and its effect on the counter", async () => {
    const budgeted = await policy.oneBudget(10_000n);
    const expected: string[] = [];
    for (const [, breakIt, named] of FAULTS) {
      const one = await spend(budgeted, 100n, 60n);
      await breakIt(one);
      expected.push(...named.map((each) => `${one.requestId}: ${each}`));
    }
    // 660 micro-USD were spent; the reservations have one less, and three of them are gone.
    expected.push(
      `${budgeted.binding.id}: reserved 0, not 100 to 100`,
      `${budgeted.binding.id}: spent 660, not 479 to 479`,
    );
    await boundLongAgo();
    const { differences } = await reconcile();
    expect(differences.toSorted()).toEqual(expected.toSorted());
  });

  it("a request without a reservation under a budget of the namespace or of a key above; not where there is or was none", async () => {
    const namespaceId = newId("ns");
    const parent = policy.key(namespaceId);
    const [child, stranger] = [policy.key(namespaceId, parent), policy.key(namespaceId)];
    const passBy = (key: typeof child): string => {
      const one = requestOf(namespaceId, key.lineage, 1n);
      log(one, RequestStatus.SUCCEEDED, 9n);
      return `${one.requestId}: - 0, succeeded 9`;
    };
    const { policy: budget } = await policy.budget(namespaceId, 100n, parent.id);
    const under = [passBy(parent), passBy(child)];
    const free = passBy(stranger);
    expect((await reconcile()).differences).toEqual([]);
    await boundLongAgo();
    expect(new Set((await reconcile()).differences)).toEqual(new Set(under));
    const whole = await policy.budget(namespaceId, 100n);
    await boundLongAgo();
    expect(new Set((await reconcile()).differences)).toEqual(new Set([...under, free]));
    await policy.tamper(sql`update bindings set mode = 'shadow' where id = ${whole.binding.id}`);
    await policy.disable(budget.id);
    expect((await reconcile()).differences).toEqual([]);
    // It was disabled meanwhile, so the time for which it applied is not known.
    await policy.tamper(sql`update policies set disabled_at = null`);
    expect((await reconcile()).differences).toEqual([]);
  });

  it("a request without a reservation, though its budget was renamed and edited since; not if a preset got its budget since", async () => {
    const { namespaceId, key, policies, presets } = policy.newNamespace();
    const limit = { window: "day", limitMicroUsd: 100n } as const;
    const { policy: preset } = await policy.bound(namespaceId, {
      kind: "preset",
      budget: limit,
      guardrail: { allowStreaming: false },
    });
    const { policy: whole } = await policy.bound(namespaceId, { kind: "budget", ...limit });
    await boundLongAgo();
    const one = requestOf(namespaceId, key.lineage, 1n);
    log(one, RequestStatus.SUCCEEDED, 9n);
    const missing = [`${one.requestId}: - 0, succeeded 9`];
    const spec = { window: BudgetWindow.HOUR, limitMicroUsd: 200n };
    await policies.updatePolicy({ id: whole.id, name: "renamed", spec: { kind: { case: "budget", value: spec } } });
    expect((await reconcile()).differences).toEqual(missing);
    await policy.disable(whole.id);
    await presets.updatePreset({ id: preset.id, budget: spec });
    await presets.updatePreset({ id: preset.id, name: "renamed too" });
    expect((await reconcile()).differences).toEqual(missing);
    await presets.updatePreset({ id: preset.id, clearBudget: true });
    await presets.updatePreset({ id: preset.id, budget: spec });
    expect((await reconcile()).differences).toEqual([]);
  });

  /** Differences after `breakIt`, for three requests that cost 60 micro-USD each. */
  async function broken(breakIt: RawBuilder<unknown>, window: "hour" | "day" | "total" = "day") {
    const budgeted = await policy.oneBudget(10_000n, window);
    for (let times = 0; times < 3; times++) await spend(budgeted, 100n, 60n);
    await policy.tamper(breakIt);
    return { binding: budgeted.binding.id, differences: (await reconcile()).differences };
  }

  it.each(["hour", "day", "total"] as const)(
    "what a counter of `%s` says was spent, and is reserved",
    async (window) => {
      const { binding, differences } = await broken(
        sql`update counters set spend[3] = spend[3] + 1000, reserved_nano = reserved_nano + 1000`,
        window,
      );
      expect(differences).toEqual([`${binding}: reserved 1, not 0 to 0`, `${binding}: spent 181, not 180 to 180`]);
    },
  );

  it.each(["calendar_day", "calendar_month"] as const)(
    "what a counter of `%s` says was spent today, and no difference where there is none, also of days before",
    async (window) => {
      const namespaceId = newId("ns");
      const key = policy.key(namespaceId);
      const timeZone = "Etc/GMT+12";
      const spec = { kind: "budget", window, timeZone, limitMicroUsd: 10_000n } as const;
      const { binding } = await policy.bound(namespaceId, spec);
      const today = requestOf(namespaceId, key.lineage, 100n);
      await policy.admission.admit(today);
      await policy.admission.settle(today, used(nano(60n)));
      log(today, RequestStatus.SUCCEEDED, 60n);
      await policy.tamper(sql`update counters set spend = spend || 7000::bigint where binding_id = ${binding.id}`);
      expect(await reconcile()).toMatchObject({ counters: 1n, differences: [] });
      await policy.tamper(sql`update counters set spend[3] = spend[3] - 1000 where binding_id = ${binding.id}`);
      expect((await reconcile()).differences).toEqual([expect.stringContaining(`${binding.id}: spent 59, not 60 to `)]);
    },
  );

  it("a counter that is lost", async () => {
    const { binding, differences } = await broken(sql`update counters set spend = null`);
    expect(differences).toEqual([`${binding}: spent 0, not 180 to 180`]);
  });
});

describe("a record that is not kept long enough", () => {
  it("of a `total` budget that is older, is only compared with the least sum", async () => {
    const budgeted = await policy.oneBudget(10_000n, "total");
    await spend(budgeted, 100n, 60n);
    await policy.tamper(sql`update bindings set created_at = created_at - interval '2 days'`);
    await policy.tamper(sql`update counters set spend[3] = spend[3] + 5000000`);
    expect(await reconcile()).toMatchObject({ counters: 1n, partial: 1n, differences: [] });
    await policy.tamper(sql`update counters set spend[3] = 59000`);
    expect((await reconcile()).differences).toEqual([`${budgeted.binding.id}: spent 59, not 60 to ?`]);
  });

  it("of a budget whose window was edited, is compared by reserved amounts and not by spent ones", async () => {
    const { namespaceId, key, policies } = policy.newNamespace();
    const { policy: made } = await policy.as(key.token).budgets.createBudget({
      name: "edited",
      spec: { window: BudgetWindow.HOUR, limitMicroUsd: 10_000n },
      bindTo: [{ principalType: PrincipalType.NAMESPACE, principalId: namespaceId }],
    });
    const one = requestOf(namespaceId, key.lineage, 100n);
    await policy.admission.admit(one);
    await policy.admission.settle(one, used(nano(60n)));
    log(one, RequestStatus.SUCCEEDED, 60n);
    const id = made?.id ?? expect.fail();
    const edit = (limitMicroUsd: bigint, window: BudgetWindow) =>
      policies.updatePolicy({ id, spec: { kind: { case: "budget", value: { window, limitMicroUsd } } } });
    await edit(20_000n, BudgetWindow.HOUR);
    expect(await reconcile()).toMatchObject({ counters: 1n, partial: 0n });
    await edit(20_000n, BudgetWindow.TOTAL);
    await policy.tamper(sql`update counters set spend[3] = 1, reserved_nano = 1000`);
    expect(await reconcile()).toMatchObject({
      partial: 1n,
      differences: [expect.stringMatching(/reserved 1, not 0 to 0$/)],
    });
  });

  it("is not compared: an old range has nothing, and a range that reaches into the last day has its part", async () => {
    const budgeted = await policy.oneBudget(10_000n);
    await spend(budgeted, 100n, 60n);
    await policy.tamper(sql`update holds set cost_nano = 0`);
    const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000);
    const old = { from: hoursAgo(50), to: hoursAgo(24) };
    const range = { from: toTimestamp(old.from), to: toTimestamp(old.to) };
    expect((await operator.reconcileBudgets(range)).comparedFrom).toBeUndefined();
    const { comparedFrom } = await operator.reconcileBudgets({ from: range.from });
    const since = Date.now() - Number(comparedFrom?.seconds) * 1000;
    expect(since / 3_600_000).toBeCloseTo(23, 1);
    // Counters are compared only with a range that ends now.
    const past = await reconcile({ from: hoursAgo(5), to: new Date(Date.now() - 100) });
    expect(past).toMatchObject({ requests: 1n, counters: 0n });
    expect(past.differences).toHaveLength(1);
  });

  it("of a reservation that was settled after it had expired, counts at one of the two moments", async () => {
    const budgeted = await policy.oneBudget(10_000n, "hour");
    const late = budgeted.request(100n);
    await policy.admission.admit(late);
    await makeDueToExpire(late);
    await policy.admission.admit(budgeted.request(0n));
    await policy.admission.settle(late, used(nano(30n)));
    log(late, RequestStatus.SUCCEEDED, 30n);
    // Dated back two hours: then its charge has left the window, and only its correction is in it.
    await policy.tamper(
      sql`update holds set expires_at = now() - interval '2 hours' where request_id = ${late.requestId}`,
    );
    for (const counted of [0, 30_000]) {
      await policy.tamper(sql`update counters set spend[3] = ${counted}`);
      expect((await reconcile()).differences).toEqual([]);
    }
    await policy.tamper(sql`update counters set spend[3] = 31000`);
    expect((await reconcile()).differences).toEqual([`${budgeted.binding.id}: spent 31, not 0 to 30`]);
  });
});

describe("access", () => {
  it("is only for operators of the whole node with usage:read", async () => {
    const { budgetAdmin } = policy.newNamespace(["policy:*", "usage:*"]);
    expect(await refusal(budgetAdmin.reconcileBudgets({}))).toMatchObject({ reason: "OPERATOR_REQUIRED" });
    const refusalOf = (token: string) => refusal(policy.as(token).budgetAdmin.reconcileBudgets({}));
    expect(await refusalOf(policy.operator(["audit:read"]))).toMatchObject({ reason: "SCOPE_MISSING" });
    expect(await refusalOf(policy.operator(["usage:*"], newId("acc")))).toMatchObject({ reason: "ACCOUNT_LIMITED" });
  });

  it("is UNAVAILABLE while the usage service is down", async () => {
    policy.usage.usageDown.value = true;
    expect(await refusal(operator.reconcileBudgets({}))).toMatchObject({ metadata: { dependency: "usage" } });
    policy.usage.usageDown.value = false;
  });
});
