import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@routeplane/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { mintKey } from "../harness/gateway.ts";
import type { TestNode } from "../harness/index.ts";
import { type CountedNode, NO_DIFFERENCES, reconcile, startCountedNode } from "./counted-node.ts";
import type { CountingUpstream } from "./counting-upstream.ts";
import { type Ledger, openLedger } from "./ledger.ts";
import { type Load, startLoad } from "./load.ts";

/** True if the faults are run in full, by `npm run faults`; otherwise each is injected a few times. */
const isFull = process.env["ROUTEPLANE_FAULTS"] === "full";
const KILLS = isFull ? 25 : 2;
const OUTAGE_MS = isFull ? 60_000 : 5_000;
const AGREEMENT_TIMEOUT_MS = 60_000;

let counted: CountedNode;
let node: TestNode;
let upstream: CountingUpstream;

beforeAll(async () => {
  counted = await startCountedNode({ gateways: 2 });
  ({ node, upstream } = counted);
}, 120_000);

afterAll(() => counted?.remove());

/** Load of the running test; stopped even if the test fails. */
let running: Load | undefined;
afterEach(() => running?.stop());

/** Starts load under a new key, with or without a budget, and opens the ledger of the key. */
async function startMeteredLoad(
  name: string,
  isBudgeted = true,
): Promise<{ readonly load: Load; readonly ledger: Ledger }> {
  upstream.reset();
  const key = isBudgeted ? await counted.budgetedKey(name, 1_000_000_000) : await mintKey(node, name);
  const ledger = await openLedger(node, key.id, isBudgeted);
  running = startLoad(node.urls, key.token);
  return { load: running, ledger };
}

/** Expects that log, reservations and upstream agree, once everything pending has been delivered. */
async function expectAgreement({ load, ledger }: { readonly load: Load; readonly ledger: Ledger }): Promise<void> {
  await node.healthy();
  const faults = await eventually(async () => {
    const current = await ledger.faults(upstream, load.sent);
    return current.length === 0 ? current : undefined;
  }, AGREEMENT_TIMEOUT_MS).catch(() => ledger.faults(upstream, load.sent));
  expect(faults).toEqual([]);
  // The operator's reconciliation agrees too, over the earlier tests as well.
  expect((await reconcile(node)).requestCount).toBeGreaterThan(20);
  expect(await counted.reconciled(AGREEMENT_TIMEOUT_MS)).toEqual(NO_DIFFERENCES);
}

describe("SIGKILL under load", () => {
  it.each([
    ["gateway", "under a budget"],
    ["gateway", "under no budget"],
    ["nats", "under a budget"],
    ["aggregator", "under a budget"],
    ["policy", "under a budget"],
    ["postgres", "under a budget"],
  ])(
    "of %s, %s, neither loses nor duplicates a request",
    async (role, limit) => {
      const { load, ledger } = await startMeteredLoad(`${role} ${limit}`, limit === "under a budget");
      for (let kill = 0; kill < KILLS; kill++) {
        await node.healthy();
        const before = load.sent.answered.size;
        await eventually(() => load.sent.answered.size > before + 40);
        await delay(Math.random() * 300);
        await node.kill(role);
      }
      await node.healthy();
      await load.stop();
      await expectAgreement({ load, ledger });
      const statuses = await ledger.statuses();
      expect(statuses["succeeded"]).toBeGreaterThan(KILLS * 20);
      // Requests that ran in the killed gateway are charged their reservation, in the log and on the budget.
      if (role === "gateway") {
        expect(statuses["pending"]).toBeGreaterThan(0);
        await ledger.expirePending();
        await eventually(async () => (await ledger.statuses())["unknown"] === statuses["pending"]);
        await expectAgreement({ load, ledger });
      }
      await ledger.close();
    },
    120_000 + KILLS * 60_000 + AGREEMENT_TIMEOUT_MS,
  );
});

describe("NATS suspended under load", () => {
  it(
    `for ${OUTAGE_MS / 1_000} s refuses and delays no request, and neither loses nor duplicates one`,
    async () => {
      const { load, ledger } = await startMeteredLoad("outage");
      await eventually(() => load.sent.answered.size > 20);
      const failedBefore = load.failed;
      await node.whileSuspended("nats", async () => {
        const before = load.sent.answered.size;
        await delay(OUTAGE_MS);
        expect(load.sent.answered.size).toBeGreaterThan(before + 20);
      });
      await load.stop();
      expect(load.failed).toBe(failedBefore);
      expect(load.slowestMs).toBeLessThan(3_000);
      await expectAgreement({ load, ledger });
      const all = { succeeded: load.sent.count };
      // The last settlements follow their charges one batch later.
      await eventually(async () => {
        expect(await ledger.statuses()).toEqual(all);
        return true;
      }, AGREEMENT_TIMEOUT_MS);
      await ledger.close();
    },
    60_000 + OUTAGE_MS + AGREEMENT_TIMEOUT_MS,
  );
});

describe("the ledger of these tests", () => {
  it("finds a row that is missing, duplicated or charged wrongly, and a reservation that differs from its row", async () => {
    const { load, ledger } = await startMeteredLoad("control");
    await eventually(() => load.sent.answered.size > 20);
    await load.stop();
    await expectAgreement({ load, ledger });
    const oneOf =
      "(select id from usage.requests where model = 'counted' and status = 'succeeded' order by id desc limit 1)";
    const broken = async (statement: string): Promise<readonly string[]> => {
      await ledger.execute(statement);
      return ledger.faults(upstream, load.sent);
    };
    expect(await broken(`update policy.holds set cost_nano = cost_nano + 1000 where request_id = ${oneOf}`)).toEqual([
      expect.stringMatching(/is charged \d+ \(succeeded\), its reservation \d+/),
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
    // So does the operator's reconciliation: the wrongly charged row has been deleted, and the sums still contain it.
    await ledger.execute(`update policy.counters set reserved_nano = reserved_nano + 1000`);
    const { differences, charges, counters } = (await reconcile(node)).found;
    expect(differences).toMatchObject([
      // Latencies are kept only by hour, model and provider.
      { hour: expect.any(String), key_id: null, status: null },
      { hour: expect.any(String), status: "succeeded" },
      { five_minutes: expect.any(String), key_id: null },
    ]);
    expect(charges).toMatchObject([{ hold_state: "settled", request_status: null, log_micro_usd: 0 }]);
    expect(counters.length).toBeGreaterThan(0);
    for (const counter of counters) expect(counter).toMatchObject({ quantity: "reserved" });
    await ledger.close();
  });
});
