import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@routeplane/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { cliJson, mintKey } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";
import { COUNTED_PRICE, type CountingUpstream, startCountingUpstream } from "./counting-upstream.ts";
import { inFull } from "./counts.ts";
import { type Ledger, openLedger } from "./ledger.ts";
import { type Load, startLoad } from "./load.ts";

/**
 * SIGKILL at random moments under load, and NATS away: every request that reached the upstream has one row and is charged
 * once, and the budget is charged the same. The upstream keeps its own count.
 */

const KILLS = inFull(25, 3);
const AWAY_MS = inFull(60_000, 5_000);
const AGREE_MS = 60_000;

let node: TestNode;
let upstream: CountingUpstream;
let folder: string;

beforeAll(async () => {
  upstream = await startCountingUpstream();
  folder = await mkdtemp(join(tmpdir(), "routeplane-faults-"));
  const providers = join(folder, "providers.yaml");
  const model = `{id: counted, ${COUNTED_PRICE}}`;
  await writeFile(
    providers,
    `providers: [{name: own, protocol: openai, base_url: "${upstream.baseUrl}", models: [${model}]}]`,
  );
  node = await startNode({ gateways: 2, environment: { ROUTEPLANE_PROVIDERS: providers } });
}, 120_000);

afterAll(async () => {
  await node?.remove();
  await upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Of the test that runs: one that fails leaves no load to those after it. */
let running: Load | undefined;
afterEach(() => running?.stop());

/** A key of its own, with a budget on it unless there is to be none, load under it, and the ledger that it fills. */
async function metered(name: string, isBudgeted = true): Promise<{ readonly load: Load; readonly ledger: Ledger }> {
  upstream.forget();
  const key = await mintKey(node, name);
  if (isBudgeted) {
    const limit = ["--window", "total", "--limit-micro-usd", "1000000000"];
    const budget = await cliJson<{ id: string }>(node, "cloud", "budget", "create", "--name", name, ...limit);
    await cliJson(node, "cloud", "policy", "bind", budget.id, "--principal-type", "api_key", "--principal-id", key.id);
  }
  const ledger = await openLedger(node, key.id, isBudgeted);
  running = startLoad(node.urls, key.token);
  return { load: running, ledger };
}

/** Nothing is left to be told to anybody, and all of them agree. */
async function agree({ load, ledger }: { readonly load: Load; readonly ledger: Ledger }): Promise<void> {
  await node.healthy();
  const faults = await eventually(async () => {
    const found = await ledger.faults(upstream, load.sent);
    return found.length === 0 ? found : undefined;
  }, AGREE_MS).catch(() => ledger.faults(upstream, load.sent));
  expect(faults).toEqual([]);
  // The operator's own proof finds the same: over all that the tests before have done, too.
  const { differences, budgets } = await reconcile();
  expect({ differences, charges: budgets.charges, counters: budgets.counters }).toEqual({
    differences: [],
    charges: [],
    counters: [],
  });
  expect(budgets.request_count).toBeGreaterThan(20);
}

interface Reconciliation {
  readonly differences: readonly { readonly key_id: string }[];
  readonly budgets: {
    readonly request_count: number;
    readonly running_count: number;
    readonly charges: readonly { readonly request_id: string }[];
    readonly counters: readonly { readonly quantity: string }[];
  };
}

async function reconcile(): Promise<Reconciliation> {
  const { exitCode, stdout, stderr } = await node.cli(["admin", "reconcile", "--json"]);
  if (stdout === "") throw new Error(stderr);
  const found = JSON.parse(stdout) as Reconciliation;
  const { charges, counters } = found.budgets;
  expect(exitCode).toBe(found.differences.length + charges.length + counters.length === 0 ? 0 : 1);
  return found;
}

describe("SIGKILL under load", () => {
  it.each([
    ["gateway", "under a budget"],
    ["gateway", "under no budget"],
    ["nats", "under a budget"],
    ["aggregator", "under a budget"],
    ["postgres", "under a budget"],
  ])(
    "of %s %s loses no request and doubles none",
    async (role, limit) => {
      const { load, ledger } = await metered(`${role} ${limit}`, limit === "under a budget");
      for (let kill = 0; kill < KILLS; kill++) {
        await node.healthy();
        const before = load.sent.answered.size;
        await eventually(() => load.sent.answered.size > before + 40, 30_000);
        await delay(Math.random() * 300);
        await node.kill(role);
      }
      await node.healthy();
      await load.stop();
      await agree({ load, ledger });
      const statuses = await ledger.statuses();
      expect(statuses["succeeded"]).toBeGreaterThan(KILLS * 20);
      // What was running in the gateway that was killed: charged its reservation, in the log and on its budget alike.
      if (role === "gateway") {
        expect(statuses["pending"]).toBeGreaterThan(0);
        await ledger.overdue();
        await eventually(async () => (await ledger.statuses())["unknown"] === statuses["pending"], 30_000);
        await agree({ load, ledger });
      }
      await ledger.close();
    },
    60_000 + KILLS * 15_000 + AGREE_MS,
  );
});

describe("NATS silent under load", () => {
  it(
    `for ${AWAY_MS / 1_000} s refuses nobody, keeps nobody waiting, loses no request and doubles none`,
    async () => {
      const { load, ledger } = await metered("away");
      await eventually(() => load.sent.answered.size > 20);
      const failedBefore = load.failed;
      await node.whileSilent("nats", async () => {
        const before = load.sent.answered.size;
        await delay(AWAY_MS);
        expect(load.sent.answered.size).toBeGreaterThan(before + 20);
      });
      await load.stop();
      expect(load.failed).toBe(failedBefore);
      expect(load.slowestMs).toBeLessThan(3_000);
      await agree({ load, ledger });
      expect(await ledger.statuses()).toEqual({ succeeded: load.sent.count });
      await ledger.close();
    },
    60_000 + AWAY_MS + AGREE_MS,
  );
});

describe("the ledger that these tests are held against", () => {
  it("sees a row that is missing, doubled or charged wrongly, and a hold that differs from its row", async () => {
    const { load, ledger } = await metered("control");
    await eventually(() => load.sent.answered.size > 20);
    await load.stop();
    await agree({ load, ledger });
    const oneOf =
      "(select id from usage.requests where model = 'counted' and status = 'succeeded' order by id desc limit 1)";
    const broken = async (statement: string): Promise<readonly string[]> => {
      await ledger.execute(statement);
      return ledger.faults(upstream, load.sent);
    };
    expect(await broken(`update policy.holds set cost_nano = cost_nano + 1000 where request_id = ${oneOf}`)).toEqual([
      expect.stringMatching(/is charged \d+ \(succeeded\), its hold \d+/),
    ]);
    await ledger.execute(`update policy.holds set cost_nano = cost_nano - 1000 where request_id = ${oneOf}`);
    const doubled = await broken(
      `create temporary table twin as select * from usage.requests where id = ${oneOf};
       update twin set created_at = created_at + interval '1 second';
       insert into usage.requests select * from twin; drop table twin`,
    );
    expect(doubled).toEqual([expect.stringMatching(/has 2 rows/)]);
    await ledger.execute(
      `delete from usage.requests r using usage.requests o where r.id = o.id and r.created_at > o.created_at`,
    );
    expect(
      await broken(`update usage.requests set cost_nano_usd = cost_nano_usd + 1000 where id = ${oneOf}`),
    ).toHaveLength(2);
    expect(await broken(`delete from usage.requests where id = ${oneOf}`)).toEqual(
      expect.arrayContaining([expect.stringMatching(/reached the upstream and has no row/)]),
    );
    // So does the operator's: the row that is charged wrongly is gone by now, and the sums of its time know it still.
    await ledger.execute(`update policy.counters set reserved_nano = reserved_nano + 1000`);
    const { differences, budgets } = await reconcile();
    expect(differences).toMatchObject([
      { hour: expect.any(String), status: "succeeded" },
      { five_minutes: expect.any(String), key_id: null },
    ]);
    expect(budgets.charges).toMatchObject([{ hold_state: "settled", request_status: null, log_micro_usd: 0 }]);
    expect(new Set(budgets.counters.map(({ quantity }) => quantity))).toEqual(new Set(["reserved"]));
    await ledger.close();
  });
});
