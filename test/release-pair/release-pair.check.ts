import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { BudgetService, BudgetWindow, PrincipalType } from "@routeplane/contracts/policy";
import { UsageAdminService } from "@routeplane/contracts/usage";
import type { RoleName } from "@routeplane/postgres";
import { createEmptyDatabase, eventually, type TestDatabase } from "@routeplane/testing";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundle } from "../../deploy/bundle.ts";
import { type Exit, runToExit } from "../../deploy/test/role-process.ts";
import { type Fleet, startFleet } from "../fleet/fleet.ts";
import { canMountHosts } from "../fleet/hosts.ts";
import { chat, secondsOf, startLoad, whoAmI } from "../fleet/load.ts";
import { migrateToNextRelease, NEXT_MIGRATION } from "../fleet/next-release.ts";
import type { FleetRole } from "../fleet/replica.ts";
import { bundlePreviousRelease } from "./previous-release.ts";

/** Full form: `npm run release-pair`. With ROUTEPLANE_FLEET=short, for a machine that is busy with other work. */
const IS_FULL = process.env["ROUTEPLANE_FLEET"] !== "short";
const RATE = IS_FULL ? { perSecond: 100, maxRunning: 32 } : { perSecond: 10, maxRunning: 4 };
const SIZE = IS_FULL
  ? { auth: 2, policy: 2, usage: 2, aggregator: 2, gateway: 2 }
  : { auth: 1, policy: 2, usage: 1, aggregator: 1, gateway: 1 };
/** Time for which load goes on after each change. */
const AFTER_MS = 2_000;
const SCHEMAS = ["auth", "policy", "usage"] as const;

describe.skipIf(!canMountHosts())("the previous release and this one on one database, under load", () => {
  let folder: string;
  let entries: { readonly previous: string; readonly current: string };
  let database: TestDatabase;
  let fleet: Fleet;
  let admin: pg.Client;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "routeplane-pair-"));
    entries = { previous: await bundlePreviousRelease(), current: (await bundle(folder)).entry };
    database = await createEmptyDatabase();
    admin = new pg.Client({ connectionString: database.adminUrl });
    await admin.connect();
    for (const { code, stderr } of await install(entries.previous)) expect(code, stderr).toBe(0);
    fleet = await startFleet(SIZE, {}, { entry: entries.previous, database });
    const [service] = fleet.replicas("policy");
    if (service === undefined) throw new Error("a fleet needs a policy service");
    await createClient(BudgetService, fleet.transport(service, fleet.apiKey)).createBudget({
      name: "large",
      spec: { window: BudgetWindow.DAY, limitMicroUsd: 1_000_000_000n },
      bindTo: [{ principalType: PrincipalType.NAMESPACE, principalId: fleet.namespaceId }],
    });
  }, 900_000);
  afterAll(async () => {
    await admin?.end();
    expect(await fleet?.stop()).toEqual([]);
    await rm(folder, { recursive: true, force: true });
  }, 120_000);

  /** Runs the Jobs of a release: provision, then the migrations of each schema. */
  async function install(entry: string): Promise<readonly Exit[]> {
    const passwords = ["AUTH_OWNER", "AUTH", "POLICY_OWNER", "POLICY", "USAGE_OWNER", "USAGE", "AGGREGATOR"];
    const variables = passwords.map((name) => {
      const { password } = new URL(database.url(`routeplane_${name.toLowerCase()}` as RoleName));
      return [`ROUTEPLANE_PASSWORD_${name}`, decodeURIComponent(password)];
    });
    const provision = await runToExit(entry, "provision", {
      ...Object.fromEntries(variables),
      ROUTEPLANE_ADMIN_DATABASE_URL: database.adminUrl,
      ROUTEPLANE_DATABASE: database.name,
    });
    const migrate = (schema: string): Promise<Exit> =>
      runToExit(entry, `migrate-${schema}`, {
        ROUTEPLANE_MIGRATION_DATABASE_URL: database.url(`routeplane_${schema}_owner` as RoleName),
      });
    return [provision, ...(await Promise.all(SCHEMAS.map(migrate)))];
  }

  /** Replaces every process of these roles by one of the release, role by role. */
  async function rollTo(entry: string, roles: readonly FleetRole[]): Promise<void> {
    fleet.use(entry);
    for (const role of roles) await fleet.roll(role);
  }

  /**
   * Runs `change` under load. Half of the requests are inference, which a budget admits; the rest reads and writes by each service.
   *
   * @returns the number of inference requests
   */
  async function under(change: () => Promise<void>): Promise<number> {
    const token = fleet.apiKey;
    let inference = 0;
    const load = startLoad({
      urls: () => fleet.urls,
      ...RATE,
      request(n) {
        if (n % 2 === 0) {
          inference += 1;
          return chat(token);
        }
        if (n % 20 === 1) return mint(token, n);
        return n % 4 === 1 ? whoAmI(token) : { path: "/routeplane.usage.v1.UsageService/GetUsage", token, body: {} };
      },
    });
    try {
      await delay(AFTER_MS);
      await change();
      await delay(AFTER_MS);
    } finally {
      await load.stop();
    }
    const reasons = Map.groupBy(load.failures, ({ reason }) => reason);
    const counts = [...reasons].map(([reason, { length }]) => `${length} x ${reason}`);
    const figures = `${load.sent} requests, ${load.failures.length} failed in ${secondsOf(load.failures).toFixed(1)} s`;
    const slowest = `slowest ${Math.round(load.slowestMs)} ms`;
    process.stdout.write(`${[expect.getState().currentTestName, figures, slowest, ...counts].join("; ")}\n`);
    expect(counts).toEqual([]);
    return inference;
  }

  const count = async (from: string): Promise<number> =>
    Number((await admin.query<{ count: string }>(`select count(*) from ${from}`)).rows[0]?.count);

  /** Runs `change` under load, and expects that every inference request has its row and its charge, and that the records agree. */
  async function expectNoLoss(change: () => Promise<void>): Promise<void> {
    const before = await count("usage.requests");
    const expected = before + (await under(change));
    const recorded = (): Promise<number> => count("usage.requests where status = 'succeeded'");
    await eventually(async () => (await recorded()) >= expected, 60_000);
    expect(await count("usage.requests")).toBe(expected);
    await eventually(async () => (await count("policy.holds where state = 'open'")) === 0, 30_000);
    const [service] = fleet.replicas("usage");
    if (service === undefined) throw new Error("no usage service runs");
    const reconciliation = createClient(UsageAdminService, fleet.transport(service, fleet.operatorToken));
    const { namespaceCount, differences } = await reconciliation.reconcileUsage({});
    expect([namespaceCount, differences]).toEqual([1, []]);
  }

  it(
    "rolls forwards: migrations while the old processes run, then new processes next to the old ones",
    { timeout: 600_000 },
    async () => {
      await expectNoLoss(async () => {
        for (const { code, stderr } of await install(entries.current)) expect(code, stderr).toBe(0);
        // Gateways first: those of the previous release do not repeat a call to a process that stops.
        await rollTo(entries.current, ["gateway", "auth", "policy", "usage", "aggregator"]);
      });
    },
  );

  it("serves gateways of the previous release by services of this one", { timeout: 300_000 }, async () => {
    fleet.use(entries.previous);
    const old = await fleet.add("gateway");
    const others = fleet.replicas("gateway").filter((gateway) => gateway !== old);
    for (const gateway of others) await fleet.unlist(gateway);
    await expectNoLoss(async () => {});
    for (const gateway of others) await fleet.list(gateway);
    await fleet.unlist(old);
    expect(await old.stop()).toBe(0);
  });

  it(
    "serves, rolls and runs its Jobs on a schema that a later release has migrated",
    { timeout: 600_000 },
    async () => {
      await expectNoLoss(async () => {
        for (const schema of SCHEMAS) expect(await migrateToNextRelease(database, schema)).toEqual([NEXT_MIGRATION]);
        const [, ...jobs] = await install(entries.current);
        for (const { code, stdout } of jobs) {
          expect(stdout).toContain(`newer than this build, which does not know ${NEXT_MIGRATION}`);
          expect(code).toBe(0);
        }
        await rollTo(entries.current, ["gateway", "auth", "policy", "usage", "aggregator"]);
      });
    },
  );

  it("rolls backwards: old processes come back onto the schema of later releases", { timeout: 600_000 }, async () => {
    await expectNoLoss(async () => {
      // The previous release compares migrations one by one, so its Jobs fail and change nothing. The Jobs of this release succeed.
      const [provision, ...jobs] = await install(entries.previous);
      expect(provision?.code).toBe(0);
      for (const { code, stderr } of jobs)
        if (code !== 0) expect([code, stderr]).toEqual([1, expect.stringContaining("corrupted migrations")]);
      // Gateways last: those of this release repeat calls to processes that stop.
      await rollTo(entries.previous, ["auth", "policy", "usage", "gateway"]);
    });
    // Aggregators only now, when the events are recorded: old ones do not read the partitions into which new gateways publish.
    await expectNoLoss(() => rollTo(entries.previous, ["aggregator"]));
  });
});

/** A call that writes in the auth service. */
function mint(token: string, n: number) {
  return { path: "/routeplane.auth.v1.KeyService/MintKey", token, body: { name: `n${n}`, scopes: ["usage:read"] } };
}
