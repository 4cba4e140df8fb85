import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Id, newId } from "@routeplane/domain";
import {
  DEFAULT_STREAM_SETTINGS,
  type EventPublisher,
  openPublisher,
  parseNatsUrl,
  toUsageRecord,
} from "@routeplane/events";
import { type Database, openDatabase } from "@routeplane/postgres";
import { createLogger } from "@routeplane/runtime";
import { cloneDatabase, eventually, startNats, type TestDatabase, type TestNats } from "@routeplane/testing";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type AggregatorProcess, spawnAggregator } from "./aggregator-process.ts";
import { pendingRequest, settledRequest, usageEvent } from "./requests.ts";

/** Aggregators that share the partitions of the stream. */

vi.setConfig({ testTimeout: 180_000 });

const OPERATIONS_PORT = /"operationsPort":(\d+)/;

/** Bound of a takeover: a registration lasts 4 s, and unacknowledged messages are delivered again after 10 s. */
const TAKEN_OVER_BY_MS = 60_000;
const PARTITIONS = DEFAULT_STREAM_SETTINGS.partitions;

let clone: TestDatabase;
let nats: TestNats;
let superuser: Database<unknown>;
let publisher: EventPublisher;
let spool: string;
let processes: AggregatorProcess[];

beforeEach(async () => {
  [clone, nats] = await Promise.all([cloneDatabase(), startNats()]);
  superuser = openSuperuser(clone);
  spool = await mkdtemp(join(tmpdir(), "routeplane-spool-"));
  publisher = openGateway();
  processes = [];
});

afterEach(async () => {
  for (const { pid } of processes) resume(pid);
  await Promise.all([publisher.stop(), superuser.stop(), ...processes.map((each) => each.kill())]);
  await Promise.all([clone.drop(), nats.remove(), rm(spool, { recursive: true, force: true })]);
});

function openGateway(): EventPublisher {
  return openPublisher({
    nats: parseNatsUrl(nats.gatewayUrl) ?? expect.fail("not a URL"),
    settings: DEFAULT_STREAM_SETTINGS,
    installation: async () => undefined,
    log: createLogger("test", () => ""),
    name: "gateway",
    folder: spool,
  });
}

function resume(pid: number): void {
  try {
    process.kill(pid, "SIGCONT");
  } catch {
    // The process has already ended.
  }
}

function aggregator({ databaseUrl = clone.url("routeplane_aggregator"), partitions = PARTITIONS } = {}) {
  // The NATS user of aggregators may create only the consumers of the default number of partitions.
  const natsUrl = partitions === PARTITIONS ? nats.aggregatorUrl : nats.url;
  const started = spawnAggregator({ databaseUrl, natsUrl, partitions });
  processes.push(started);
  return started;
}

/** Returns the partitions that a process has logged last. */
function partitionsOf(running: AggregatorProcess): readonly number[] {
  const [last] =
    running
      .output()
      .match(/"partitions":\[[\d,]*\]/g)
      ?.slice(-1) ?? [];
  return last === undefined ? [] : (JSON.parse(last.slice('"partitions":'.length)) as number[]);
}

/** Waits until these processes share all partitions as evenly as possible, each owned once. */
const shared = (...running: readonly AggregatorProcess[]): Promise<void> => sharedOf(PARTITIONS, running);

async function sharedOf(count: number, running: readonly AggregatorProcess[]): Promise<void> {
  const all = Array.from({ length: count }, (_, partition) => partition).join();
  await eventually(() => {
    const owned = running.map(partitionsOf);
    const sizes = owned.map(({ length }) => length);
    const isWhole =
      owned
        .flat()
        .toSorted((a, b) => a - b)
        .join() === all;
    return isWhole && Math.max(...sizes) - Math.min(...sizes) <= 1;
  }, TAKEN_OVER_BY_MS);
}

const makeNamespaces = (): readonly Id<"ns">[] => Array.from({ length: 40 }, () => newId("ns"));

/** Publishes both events of `count` requests of 40 namespaces, whose costs all differ. @returns the sum of the costs */
async function publishRequests(count: number, namespaces = makeNamespaces()): Promise<bigint> {
  let total = 0n;
  for (let nth = 1; nth <= count; nth++) {
    const pending = pendingRequest({ namespaceId: namespaces[nth % namespaces.length]! });
    const settled = settledRequest(pending, { costNanoUsd: BigInt(nth) * 1_000n });
    total += settled.costNanoUsd;
    await Promise.all(
      [pending, settled].map((request) => publisher.record(toUsageRecord(usageEvent(request))).committed()),
    );
    await delay(1);
  }
  return total;
}

/** Connects past row-level security. */
function openSuperuser(database: TestDatabase): Database<unknown> {
  return openDatabase({ url: database.adminUrlOf("usage"), schema: "usage", applicationName: "test", poolSize: 2 });
}

/** Reads the request log, and the sums that were written with it. */
async function recorded() {
  const statement = sql<{ rows: bigint; cost: bigint; counted: bigint; charged: bigint }>`
    select count(*) as rows, coalesce(sum(cost_nano_usd), 0) as cost,
      (select coalesce(sum(request_count), 0) from usage.totals where minutes = 1440) as counted,
      (select coalesce(sum(cost_nano_usd), 0) from usage.totals where minutes = 1440) as charged
    from usage.requests`;
  const { rows } = await superuser.within({}, (transaction) => statement.execute(transaction));
  return rows[0] ?? expect.fail("no row");
}

const recordedRows = async (): Promise<number> => Number((await recorded()).rows);

async function recordedExactly(count: number, cost: bigint): Promise<void> {
  const rows = BigInt(count);
  const exactly = { rows, cost, counted: rows, charged: cost };
  await eventually(async () => {
    expect(await recorded()).toEqual(exactly);
    return true;
  }, TAKEN_OVER_BY_MS);
}

describe("partitions", () => {
  test("are shared evenly when an aggregator starts, stops, is killed or freezes, and every event counts once", async () => {
    const one = aggregator();
    await shared(one);
    const [stopped, frozen, killed] = [aggregator(), aggregator(), aggregator()];
    await shared(one, stopped, frozen, killed);
    const publishing = publishRequests(500);
    await eventually(async () => (await recordedRows()) > 50);
    process.kill(frozen.pid, "SIGSTOP");
    await killed.kill();
    expect(await stopped.stop()).toBe(0);
    // The remaining one has all partitions, including those of the frozen one, whose connections stay open.
    await shared(one);
    process.kill(frozen.pid, "SIGCONT");
    await shared(one, frozen);
    await recordedExactly(500, await publishing);
  });

  test("can be increased while aggregators and gateways restart one by one, and every event counts once, also if its namespace moves", async () => {
    const before = [aggregator(), aggregator()];
    await shared(...before);
    const namespaces = makeNamespaces();
    const publishing = publishRequests(200, namespaces);
    await eventually(async () => (await recordedRows()) > 20);
    const raised = 2 * PARTITIONS;
    const after = [aggregator({ partitions: raised })];
    await eventually(() => after[0]?.output().includes(`"partitions":${raised}`));
    for (const former of before) {
      expect(await former.stop()).toBe(0);
      after.push(aggregator({ partitions: raised }));
    }
    await sharedOf(raised, after);
    const total = await publishing;
    // A gateway reads the number of partitions when it connects.
    await publisher.stop();
    publisher = openGateway();
    await recordedExactly(400, total + (await publishRequests(200, namespaces)));
  });

  test("are not taken by an aggregator without NATS, and are given up when it loses NATS", async () => {
    const one = aggregator();
    await shared(one);
    await nats.kill();
    await eventually(
      async () =>
        (await superuser.within({}, (tx) => sql`select from usage.aggregators`.execute(tx))).rows.length === 0,
    );
    await nats.start();
    await shared(one);
  });
});

test("an aggregator of another installation is not ready, logs the reason, and takes no partitions", async () => {
  const own = aggregator();
  await shared(own);
  const other = await cloneDatabase();
  try {
    await changeInstallation(other);
    const foreign = aggregator({ databaseUrl: other.url("routeplane_aggregator") });
    await eventually(() => /belongs to another installation/.test(foreign.output()));
    const port = await eventually(() => OPERATIONS_PORT.exec(foreign.output())?.[1]);
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
    expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining("another installation")]);
    const total = await publishRequests(50);
    await recordedExactly(50, total);
    expect(foreign.output()).not.toMatch(/"partitions":\[\d/);
    await foreign.kill();
  } finally {
    await other.drop();
  }
});

/** Changes the installation of a clone, which is that of its template. */
async function changeInstallation(database: TestDatabase): Promise<void> {
  const opened = openSuperuser(database);
  await opened.within({}, (tx) => sql`update usage.installation set id = gen_random_uuid()`.execute(tx));
  await opened.stop();
}
