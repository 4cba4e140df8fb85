import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import type { UsageEvent } from "@routeplane/contracts/events";
import { Health, HealthCheckResponse_ServingStatus as Serving } from "@routeplane/contracts/health";
import { type Id, newId } from "@routeplane/domain";
import {
  DEFAULT_STREAM_SETTINGS,
  type EventPublisher,
  openPublisher,
  parseNatsUrl,
  toUsageRecord,
} from "@routeplane/events";
import { type Database, openDatabase } from "@routeplane/postgres";
import { serviceTransport } from "@routeplane/rpc";
import { createLogger } from "@routeplane/runtime";
import { cloneDatabase, eventually, startNats, type TestDatabase, type TestNats } from "@routeplane/testing";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type AggregatorProcess, spawnAggregator } from "./aggregator-process.ts";
import { totalsIn } from "./queries.ts";
import { pendingRequest, settledRequest, usageEvent } from "./requests.ts";
import type { AdmittedTotals } from "../src/domain/usage.ts";
import type { UsageSchema } from "../src/store/schema.ts";
import { createUsageStore } from "../src/store/usage-store.ts";

vi.setConfig({ testTimeout: 180_000 });

const OPERATIONS_PORT = /"operationsPort":(\d+)/;
const HEALTH_PORT = /"port":(\d+)/;

let clone: TestDatabase;
let nats: TestNats;
let database: Database<UsageSchema>;
let publisher: EventPublisher;
let spool: string;
let processes: AggregatorProcess[];

beforeEach(async () => {
  [clone, nats] = await Promise.all([cloneDatabase(), startNats()]);
  database = openDatabase<UsageSchema>({
    url: clone.url("routeplane_usage"),
    schema: "usage",
    applicationName: "test",
    poolSize: 4,
  });
  const address = parseNatsUrl(nats.gatewayUrl);
  if (address === undefined) throw new Error("unreachable: the test server's URL is well-formed");
  spool = await mkdtemp(join(tmpdir(), "routeplane-spool-"));
  publisher = openPublisher({
    nats: address,
    settings: DEFAULT_STREAM_SETTINGS,
    installation: async () => undefined,
    log: createLogger("test", () => ""),
    name: "gateway",
    folder: spool,
  });
  processes = [];
});

afterEach(async () => {
  nats.resume();
  await Promise.all([publisher.stop(), ...processes.map((each) => each.kill())]);
  await database.stop();
  await Promise.all([clone.drop(), nats.remove(), rm(spool, { recursive: true, force: true })]);
});

function aggregator(): AggregatorProcess {
  const started = spawnAggregator({ databaseUrl: clone.url("routeplane_aggregator"), natsUrl: nats.aggregatorUrl });
  processes.push(started);
  return started;
}

/** Bound of redelivery: the messages of a killed process are delivered again after 10 s. */
const REDELIVERED_BY_MS = 40_000;
const TIMEOUT = { timeout: 2 * REDELIVERED_BY_MS };

const totals = (namespaceId: Id<"ns">) => totalsIn(createUsageStore(database), namespaceId);

const publish = (event: UsageEvent): Promise<void> => publisher.record(toUsageRecord(event)).committed();

/** Publishes both events of `count` requests; every cost differs, so that a lost event cannot hide a doubled one. */
function publishRequests(count: number, namespaceId: Id<"ns">, paceMs = 0) {
  const publishAll = async (): Promise<void> => {
    const all: Promise<void>[] = [];
    for (let nth = 1; nth <= count; nth++) {
      const pending = pendingRequest({ namespaceId });
      const settled = settledRequest(pending, { costNanoUsd: BigInt(nth) * 1_000n });
      all.push(...[pending, settled].map((request) => publish(usageEvent(request))));
      if (paceMs > 0 && nth % 10 === 0) await delay(paceMs);
    }
    await Promise.all(all);
  };
  const expected = {
    requestCount: BigInt(count),
    promptTokens: 12n * BigInt(count),
    completionTokens: 34n * BigInt(count),
    costNanoUsd: (BigInt(count) * BigInt(count + 1) * 1_000n) / 2n,
  };
  return { published: publishAll(), expected };
}

async function settledExactly(namespaceId: Id<"ns">, expected: AdmittedTotals): Promise<void> {
  await eventually(async () => {
    expect(await totals(namespaceId)).toMatchObject(expected);
    return true;
  }, REDELIVERED_BY_MS);
  const { rows } = await database.within({ namespaceId }, (tx) =>
    sql`select status, count(*)::text as count from requests group by status`.execute(tx),
  );
  expect(rows).toEqual([{ status: "succeeded", count: String(expected.requestCount) }]);
}

describe("exactly once", TIMEOUT, () => {
  test("repeatedly killed with SIGKILL under load and restarted: no row is lost or doubled", async () => {
    const namespaceId = newId("ns");
    const count = 6_000;
    const { published, expected } = publishRequests(count, namespaceId, 3);
    let running = aggregator();
    const seenAtKill: bigint[] = [];
    for (let kills = 0; kills < 2; kills++) {
      const before = (await totals(namespaceId)).requestCount;
      await eventually(async () => {
        const { requestCount } = await totals(namespaceId);
        return requestCount > before || requestCount === expected.requestCount;
      }, REDELIVERED_BY_MS);
      await running.kill();
      seenAtKill.push((await totals(namespaceId)).requestCount);
      running = aggregator();
    }
    await published;
    expect(Math.min(...seenAtKill.map(Number))).toBeLessThan(count);
    await settledExactly(namespaceId, expected);
  });

  test("two aggregators share the stream without losing or doubling a row", async () => {
    const namespaceId = newId("ns");
    aggregator();
    aggregator();
    const { published, expected } = publishRequests(3_000, namespaceId, 1);
    await published;
    await settledExactly(namespaceId, expected);
  });

  test("every event published twice is counted once", async () => {
    const settled = settledRequest(pendingRequest());
    aggregator();
    for (let times = 0; times < 2; times++) await publish(usageEvent(settled));
    await settledExactly(settled.namespaceId, {
      requestCount: 1n,
      promptTokens: 12n,
      completionTokens: 34n,
      costNanoUsd: settled.costNanoUsd,
    });
  });

  test("a request that is never settled is charged as reserved, and corrected by a late settlement", async () => {
    const lost = pendingRequest({ expiresAt: new Date(Date.now() - 120_000), reservedNanoUsd: 8_000n });
    aggregator();
    await publish(usageEvent(lost));
    const settled = { requestCount: 1n, promptTokens: 12n, completionTokens: 34n, costNanoUsd: 3_000n };
    await eventually(async () => (await totals(lost.namespaceId)).costNanoUsd === 8_000n, REDELIVERED_BY_MS);
    await publish(usageEvent(settledRequest(lost, { costNanoUsd: 3_000n })));
    await settledExactly(lost.namespaceId, settled);
  });

  test("NATS killed under load: no row is lost or doubled", async () => {
    const namespaceId = newId("ns");
    aggregator();
    const { published, expected } = publishRequests(3_000, namespaceId, 10);
    for (let kills = 0; kills < 3; kills++) {
      const before = (await totals(namespaceId)).requestCount;
      await eventually(async () => {
        const { requestCount } = await totals(namespaceId);
        return requestCount > before || requestCount === expected.requestCount;
      }, REDELIVERED_BY_MS);
      await nats.kill();
      await nats.start();
    }
    await published;
    await settledExactly(namespaceId, expected);
  });
});

describe("while a dependency is down", TIMEOUT, () => {
  test("without Postgres nothing is acknowledged, and everything is written once it is up", async () => {
    const namespaceId = newId("ns");
    aggregator();
    const first = publishRequests(10, namespaceId);
    await first.published;
    await settledExactly(namespaceId, first.expected);
    await admin(`grant connect on database ${clone.name} to routeplane_usage`);
    await admin(`revoke connect on database ${clone.name} from public, routeplane_aggregator`);
    await admin(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = '${clone.name}' and usename = 'routeplane_aggregator'`,
    );
    const namespaceWhileDown = newId("ns");
    const { published, expected } = publishRequests(50, namespaceWhileDown);
    await published;
    await eventually(() => processes[0]!.output().includes("usage events not stored"), REDELIVERED_BY_MS);
    expect((await totals(namespaceWhileDown)).requestCount).toBe(0n);
    await admin(`grant connect on database ${clone.name} to routeplane_aggregator`);
    await settledExactly(namespaceWhileDown, expected);
  });

  test("an event that cannot be stored does not block the others: it becomes one dead letter, and can be replayed", async () => {
    aggregator();
    const good = settledRequest(pendingRequest());
    const bad = settledRequest(pendingRequest(), { costNanoUsd: -1n });
    await Promise.all([bad, good].map((request) => publish(usageEvent(request))));
    await eventually(async () => (await totals(good.namespaceId)).requestCount === 1n, REDELIVERED_BY_MS);
    const letters = () => admin("select state, reason, request_id from usage.dead_letters");
    const held = { state: "held", reason: expect.stringContaining("cost_nano_usd"), request_id: bad.id };
    await eventually(async () => (await letters()).length > 0, REDELIVERED_BY_MS);
    expect(await letters()).toEqual([held]);
    await admin("update usage.dead_letters set state = 'replaying', reason = ''");
    await eventually(
      async () => (await admin("select from usage.dead_letters where reason <> ''")).length > 0,
      REDELIVERED_BY_MS,
    );
    expect(await letters()).toEqual([held]);
  });

  test("it reports NATS as a dependency that is down, and stays ready, so that its roll-out does not wait for NATS", async () => {
    const running = aggregator();
    const port = await eventually(() => HEALTH_PORT.exec(running.output())?.[1]);
    const client = createClient(Health, serviceTransport({ url: `http://127.0.0.1:${port}` }));
    const statusOf = async (service: string) => (await client.check({ service })).status;
    const operations = `http://127.0.0.1:${OPERATIONS_PORT.exec(running.output())?.[1]}`;
    const healthz = async () => (await fetch(`${operations}/healthz`)).json();
    await eventually(async () => (await statusOf("dependencies")) === Serving.SERVING);
    await nats.kill();
    await eventually(async () => (await statusOf("dependencies")) === Serving.NOT_SERVING);
    expect(await statusOf("")).toBe(Serving.SERVING);
    expect((await fetch(`${operations}/readyz`)).status).toBe(200);
    expect(await healthz()).toEqual({ status: "unavailable", dependencies: { postgres: "ok", nats: "unreachable" } });
    await nats.start();
    await eventually(async () => (await statusOf("dependencies")) === Serving.SERVING);
    expect(await healthz()).toEqual({ status: "ok", dependencies: { postgres: "ok", nats: "ok" } });
  });

  test("metrics show its lag while it cannot write and after a restart, and leave out unknown values", async () => {
    const namespaceId = newId("ns");
    const first = aggregator();
    const { published, expected } = publishRequests(10, namespaceId);
    await published;
    await settledExactly(namespaceId, expected);
    await eventually(async () => (await metricsOf(first)).pending === 0);
    const { used, ...idle } = await metricsOf(first);
    expect(idle).toEqual({ pending: 0, oldest: 0, events: 20, deadLetters: 0 });
    // Both events of ten requests, in a stream of 1 GiB.
    expect(used).toBeGreaterThan(0);
    expect(used).toBeLessThan(0.001);
    expect(await first.stop()).toBe(0);
    // Events wait while it is stopped, and while the next one has no database.
    await admin(`revoke connect on database ${clone.name} from public, routeplane_aggregator`);
    const whileDown = publishRequests(5, newId("ns"));
    await whileDown.published;
    const publishedAt = performance.now();
    const second = aggregator();
    const behind = await eventually(async () => {
      const { oldest = 0, ...rest } = await metricsOf(second);
      return oldest > 1 && { oldest, ...rest };
    });
    expect(behind).toMatchObject({ pending: expect.any(Number), events: 0, deadLetters: undefined });
    expect(behind.pending).toBeGreaterThan(0);
    expect(behind.oldest).toBeLessThan((performance.now() - publishedAt) / 1_000 + 5);
    await admin(`grant connect on database ${clone.name} to routeplane_aggregator, routeplane_usage`);
    await publish(usageEvent(settledRequest(pendingRequest(), { costNanoUsd: -1n })));
    await eventually(async () => (await metricsOf(second)).pending === 0, REDELIVERED_BY_MS);
    expect(await metricsOf(second)).toMatchObject({ pending: 0, oldest: 0, events: 11, deadLetters: 1 });
    await nats.kill();
    await eventually(async () => (await metricsOf(second)).pending === undefined);
    const unknown = { pending: undefined, oldest: undefined, used: undefined };
    expect(await metricsOf(second)).toEqual({ ...unknown, events: 11, deadLetters: 1 });
  });

  test("it starts without NATS, writes once NATS is up, and stops cleanly on SIGTERM", async () => {
    await nats.kill();
    const running = aggregator();
    const { published, expected } = publishRequests(20, newId("ns"));
    await eventually(() => running.output().includes("started"));
    await nats.start();
    await published;
    await eventually(async () => expected.requestCount === (await allRows()));
    expect(await running.stop()).toBe(0);
    expect(running.output()).toContain('"msg":"stopped"');
  });
});

/** Reads the metrics of an aggregator; undefined for those that it leaves out. */
async function metricsOf(running: AggregatorProcess) {
  const port = await eventually(() => OPERATIONS_PORT.exec(running.output())?.[1]);
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  expect(response.headers.get("content-type")).toMatch(/^text\/plain; version=0.0.4/);
  const text = await response.text();
  const value = (name: string): number | undefined => {
    const line = new RegExp(`^# TYPE routeplane_${name} (?:gauge|counter)\nrouteplane_${name} (.+)$`, "m").exec(text);
    return line?.[1] === undefined ? undefined : Number(line[1]);
  };
  return {
    pending: value("aggregator_pending_messages"),
    oldest: value("aggregator_oldest_pending_seconds"),
    used: value("aggregator_stream_used_ratio"),
    events: value("aggregator_events_total"),
    deadLetters: value("dead_letters"),
  };
}

async function admin(statement: string): Promise<readonly unknown[]> {
  const superuser = openDatabase({
    url: clone.adminUrlOf("usage"),
    schema: "usage",
    applicationName: "test",
    poolSize: 1,
  });
  try {
    return (await superuser.within({}, (tx) => sql.raw(statement).execute(tx))).rows;
  } finally {
    await superuser.stop();
  }
}

async function allRows(): Promise<bigint> {
  const [row] = (await admin("select count(*) from usage.requests")) as { count: bigint }[];
  return row?.count ?? 0n;
}
