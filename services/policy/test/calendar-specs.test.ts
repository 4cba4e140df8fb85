import { Code } from "@connectrpc/connect";
import { BudgetWindow, type Policy, type PolicySpec } from "@routeplane/contracts/policy";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type PolicyUnderTest,
  refusal,
  requestOf,
  startPolicyUnderTest,
  type TestNamespace,
} from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const SCOPES = ["policy:*", "keys:write", "usage:read"];
const { DAY, TOTAL, CALENDAR_DAY, CALENDAR_MONTH } = BudgetWindow;

interface Budget {
  readonly window: BudgetWindow;
  readonly timeZone?: string;
  readonly limitMicroUsd: bigint;
}
interface Made {
  readonly policy?: Policy | undefined;
}

/** One way to write a budget: by `write`, whose refusals name the field `path`. */
interface Door {
  readonly path: string;
  readonly write: (own: TestNamespace, budget: Budget) => Promise<Made>;
}

const asSpec = (value: Budget) => ({ kind: { case: "budget" as const, value } });
const OLD = { window: DAY, limitMicroUsd: 9n };
const idOf = ({ policy: made }: Made) => made?.id ?? expect.fail("no policy");
const oldBudget = async ({ budgets }: TestNamespace) => idOf(await budgets.createBudget({ name: "old", spec: OLD }));
const oldPreset = async ({ presets }: TestNamespace) =>
  idOf(await presets.createPreset({ name: "old", spec: { budget: OLD } }));

const DOORS: Readonly<Record<string, Door>> = {
  "policy.create": {
    path: "spec.budget.time_zone",
    write: ({ policies }, budget) => policies.createPolicy({ name: "new", spec: asSpec(budget) }),
  },
  "policy.create of a preset": {
    path: "spec.preset.budget.time_zone",
    write: ({ policies }, budget) =>
      policies.createPolicy({ name: "new", spec: { kind: { case: "preset", value: { budget } } } }),
  },
  "policy.update": {
    path: "spec.budget.time_zone",
    write: async (own, budget) => own.policies.updatePolicy({ id: await oldBudget(own), spec: asSpec(budget) }),
  },
  "budget.create": {
    path: "spec.time_zone",
    write: ({ budgets }, spec) => budgets.createBudget({ name: "new", spec }),
  },
  "budget.update": {
    path: "time_zone",
    write: async (own, change) => own.budgets.updateBudget({ id: await oldBudget(own), ...change }),
  },
  "preset.create": {
    path: "spec.budget.time_zone",
    write: ({ presets }, budget) => presets.createPreset({ name: "new", spec: { budget } }),
  },
  "preset.update": {
    path: "budget.time_zone",
    write: async (own, budget) => own.presets.updatePreset({ id: await oldPreset(own), budget }),
  },
  "a mint": {
    path: "limits.budget.time_zone",
    async write(own, budget) {
      const keyId = policy.mint(own.namespaceId, own.key.id, own.key.lineage);
      const { policyId } = await own.policies.bindMintedLimits({
        namespaceId: own.namespaceId,
        keyId,
        limits: { budget },
      });
      return own.policies.getPolicy({ id: policyId });
    },
  },
};

function budgetOf(spec: PolicySpec | undefined) {
  if (spec?.kind.case === "budget") return spec.kind.value;
  return spec?.kind.case === "preset" ? spec.kind.value.budget : undefined;
}

/** Specs of a namespace as they are stored. */
const stored = async ({ namespaceId }: TestNamespace) =>
  (
    await policy.admin.within({}, (tx) =>
      sql<{ spec: object }>`select spec from policies where namespace_id = ${namespaceId}`.execute(tx),
    )
  ).rows.map(({ spec }) => spec);

describe.each(Object.entries(DOORS))("the time zone of a budget by %s", (_, { path, write }) => {
  it.each([
    ["Europe/Berlin", "Europe/Berlin"],
    ["europe/berlin", "europe/berlin"],
    ["Etc/GMT+5", "Etc/GMT+5"],
    [undefined, "UTC"],
  ])("%s is kept as %s", async (timeZone, kept) => {
    const own = policy.newNamespace(SCOPES);
    const written = { window: CALENDAR_MONTH, limitMicroUsd: 5n, ...(timeZone !== undefined && { timeZone }) };
    const { policy: made } = await write(own, written);
    const read = { window: CALENDAR_MONTH, limitMicroUsd: 5n, timeZone: kept };
    expect(budgetOf(made?.spec)).toMatchObject(read);
    expect(budgetOf((await own.policies.getPolicy({ id: made?.id ?? "" })).policy?.spec)).toMatchObject(read);
  });

  it("is absent of another window", async () => {
    const own = policy.newNamespace(SCOPES);
    const { policy: made } = await write(own, { window: TOTAL, limitMicroUsd: 5n });
    expect(budgetOf(made?.spec)?.timeZone).toBeUndefined();
  });

  it.each([
    ["UTC", DAY],
    ["Europe/Berlin", TOTAL],
    ["", CALENDAR_DAY],
    ["Mars/Olympus", CALENDAR_DAY],
    ["+02:00", CALENDAR_DAY],
    ["GMT+25", CALENDAR_MONTH],
    // Names that Postgres knows.
    ["CET-1CEST", CALENDAR_DAY],
    ["posix/Europe/Berlin", CALENDAR_DAY],
    ["Europe/Berlin\0", CALENDAR_DAY],
    ["Asia/\u212Aolkata", CALENDAR_DAY],
    ["x".repeat(100), CALENDAR_DAY],
    ["x".repeat(101), CALENDAR_DAY],
  ])("%j is refused with the window %i, by its path, and nothing changes", async (timeZone, window) => {
    const own = policy.newNamespace(SCOPES);
    const refused = await refusal(write(own, { window, timeZone, limitMicroUsd: 5n }));
    expect(refused).toMatchObject({ code: Code.InvalidArgument, fields: [path] });
    const old = { window: "day", limit_micro_usd: 9 };
    expect([[], [old], [{ budget: old }]]).toContainEqual(await stored(own));
  });
});

it("a simulation accepts and refuses the same time zones", async () => {
  const { simulation } = policy.newNamespace(SCOPES);
  const simulate = (budget: Budget) => simulation.simulatePolicy({ subject: { case: "spec", value: asSpec(budget) } });
  const written = { window: CALENDAR_DAY, limitMicroUsd: 5n };
  expect(await simulate({ ...written, timeZone: "Asia/Tokyo" })).toMatchObject({ requestCount: 0n });
  for (const wrong of [
    { ...written, timeZone: "Mars/Olympus" },
    { ...OLD, timeZone: "UTC" },
  ])
    expect(await refusal(simulate(wrong))).toMatchObject({ fields: ["spec.budget.time_zone"] });
});

it("an update of a budget changes its window and time zone alone and together", async () => {
  const own = policy.newNamespace(SCOPES);
  const id = await oldBudget(own);
  const update = async (change: object) =>
    budgetOf((await own.budgets.updateBudget({ id, ...change })).policy?.spec) ?? expect.fail("no budget");
  expect((await update({ window: CALENDAR_DAY })).timeZone).toBe("UTC");
  expect(await update({ timeZone: "Asia/Tokyo" })).toMatchObject({ window: CALENDAR_DAY, timeZone: "Asia/Tokyo" });
  const month = { window: CALENDAR_MONTH, timeZone: "Asia/Tokyo" };
  expect(await update({ window: CALENDAR_MONTH })).toMatchObject(month);
  expect(await update({ limitMicroUsd: 7n })).toMatchObject({ ...month, limitMicroUsd: 7n });
  expect((await update({ window: DAY })).timeZone).toBeUndefined();
  expect(await refusal(update({ timeZone: "UTC" }))).toMatchObject({ fields: ["time_zone"] });
  expect(await update({ window: CALENDAR_DAY, timeZone: "Europe/Berlin" })).toMatchObject({
    window: CALENDAR_DAY,
    timeZone: "Europe/Berlin",
    limitMicroUsd: 7n,
  });
});

it("a stored budget with an unknown time zone refuses the requests that it applies to", async () => {
  const own = policy.newNamespace(SCOPES);
  const { key, namespaceId } = own;
  const spec = { kind: "budget", window: "calendar_day", timeZone: "UTC", limitMicroUsd: 500n } as const;
  const { policy: made, binding } = await policy.bound(namespaceId, spec);
  const admit = () => policy.admission.admit(requestOf(namespaceId, key.lineage, 1n));
  const rewrite = (json: object) =>
    policy.tamper(sql`update policies set spec = ${JSON.stringify(json)}::jsonb where id = ${made.id}`);
  expect(await admit()).toMatchObject({ outcome: "admitted" });
  for (const [window, timeZone] of [
    ["calendar_day", "Mars/Olympus"],
    ["calendar_day", undefined],
    ["day", "UTC"],
  ]) {
    await rewrite({ window, time_zone: timeZone, limit_micro_usd: 500 });
    await expect(admit()).rejects.toThrow(`the stored policy ${made.id} cannot be read: spec.time_zone `);
    expect(await refusal(own.effective.getOwnLimits({}))).toMatchObject({ code: Code.Internal });
  }
  await rewrite({ window: "calendar_day", time_zone: "UTC", limit_micro_usd: 500 });
  expect(await admit()).toMatchObject({ outcome: "admitted" });
  await policy.tamper(sql`update counters set spend = array[1, 0, 5], spend_time_zone = 'Mars/Olympus'
    where binding_id = ${binding.id}`);
  await expect(admit()).rejects.toThrow("cannot be read");
});
