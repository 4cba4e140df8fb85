import { setTimeout as delay } from "node:timers/promises";
import { newId } from "@routeplane/domain";
import type { EventPublisher } from "@routeplane/events";
import pg from "pg";
import type { LoggedRequest } from "../../services/usage/src/domain/request.ts";
import { REQUEST_COLUMNS } from "../../services/usage/src/store/request-columns.ts";
import { type AggregatorProcess, spawnAggregator } from "../../services/usage/test/aggregator-process.ts";
import { cpuSeconds, familyCpuSeconds, load, median } from "./times.ts";
import { admissionOf, makeRequests, openBenchPublisher, publish, untilSummed } from "./usage-load.ts";
import { startUsageServers, type UsageServers } from "./usage-servers.ts";

/**
 * Measures events per second of one aggregator, with row-level security, every index and all sums, beside the same rows by a bare
 * batched insert: into a plain table of the same columns with only the primary key, by the superuser, in batches of the same
 * size. The two alternate, so that other load on the machine affects both; each figure is the median of ROUNDS. Rates are per second of
 * CPU time of the writing process and of all of Postgres: what one core can do that does nothing else.
 */

const ROUNDS = Number(process.env["ROUNDS"] ?? 7);
const ROWS = Number(process.env["ROWS"] ?? 40_000);
/** Batch size of an aggregator. */
const BATCH = 5_000;

interface Bench {
  readonly servers: UsageServers;
  readonly postgres: pg.Client;
  readonly publisher: EventPublisher;
  readonly aggregator: AggregatorProcess;
}

/** Times of one measurement in a round, in seconds. */
interface RoundTimes {
  readonly wall: number;
  readonly cpu: number;
  readonly postgresCpu: number;
}

async function main(): Promise<void> {
  const servers = await startUsageServers();
  const postgres = new pg.Client({ connectionString: servers.adminUrl });
  const publisher = openBenchPublisher(servers);
  const aggregator = spawnAggregator({
    databaseUrl: servers.url("routeplane_aggregator"),
    natsUrl: servers.natsUrl,
  });
  try {
    await postgres.connect();
    await postgres.query("create table usage.bare (like usage.requests)");
    await postgres.query("alter table usage.bare add primary key (namespace_id, id, created_at)");
    await measure({ servers, postgres, publisher, aggregator });
  } finally {
    process.kill(aggregator.pid, "SIGCONT");
    await aggregator.stop();
    await publisher.stop();
    await postgres.end();
    await servers.remove();
  }
}

async function measure(bench: Bench): Promise<void> {
  const bareInsert = await prepareBareInsert(bench.postgres);
  const times = {
    bare: [] as RoundTimes[],
    settled: [] as RoundTimes[],
    admitted: [] as RoundTimes[],
    later: [] as RoundTimes[],
  };
  for (let round = 0; round <= ROUNDS; round++) {
    const requests = makeRequests(ROWS, newId("ns"));
    const requestsInTwoEvents = makeRequests(ROWS, newId("ns"));
    const results = {
      bare: await time(bench, process.pid, () => bareInsert(requests)),
      settled: await aggregate(bench, requests, "succeeded"),
      admitted: await aggregate(bench, requestsInTwoEvents.map(admissionOf), "pending"),
      later: await aggregate(bench, requestsInTwoEvents, "succeeded"),
    };
    process.stderr.write(`${round === 0 ? "warm-up" : `round ${round}`}, ${load()}: ${describe(results)}\n`);
    if (round === 0) continue;
    for (const name of ["bare", "settled", "admitted", "later"] as const) times[name].push(results[name]);
  }
  report("bare insert", times.bare, times.bare);
  report("one event a request", times.settled, times.bare);
  const both = times.admitted.map((admitted, round) => sum(admitted, times.later[round] ?? admitted));
  report("both events, in batches of their own", both, times.bare, 2);
  process.stdout.write(`${load()}\n`);
}

/** Publishes while the aggregator is suspended, then measures it until it has written everything. */
async function aggregate(bench: Bench, requests: readonly LoggedRequest[], status: string): Promise<RoundTimes> {
  const { aggregator, postgres, publisher } = bench;
  await untilReady(aggregator);
  const before = await summed(postgres, status);
  process.kill(aggregator.pid, "SIGSTOP");
  await publish(publisher, requests);
  return time(bench, aggregator.pid, async () => {
    process.kill(aggregator.pid, "SIGCONT");
    await untilSummed(postgres, status, before + requests.length);
  });
}

async function untilReady(aggregator: AggregatorProcess): Promise<void> {
  while (!aggregator.output().includes("connected to NATS")) await delay(50);
}

async function summed(postgres: pg.Client, status: string): Promise<number> {
  const { rows } = await postgres.query<{ sum: string | null }>(
    "select sum(request_count) from usage.rollups_daily where status = $1",
    [status],
  );
  return Number(rows[0]?.sum ?? 0);
}

async function time({ servers }: Bench, pid: number, work: () => Promise<void>): Promise<RoundTimes> {
  const [cpu, postgresCpu] = [await cpuSeconds(pid), await familyCpuSeconds(servers.postgresPid)];
  const began = performance.now();
  await work();
  const wall = (performance.now() - began) / 1_000;
  return {
    wall,
    cpu: (await cpuSeconds(pid)) - cpu,
    postgresCpu: (await familyCpuSeconds(servers.postgresPid)) - postgresCpu,
  };
}

/** Inserts in batches with one array per column, as the aggregator does. */
async function prepareBareInsert(postgres: pg.Client): Promise<(requests: readonly LoggedRequest[]) => Promise<void>> {
  const { rows: columns } = await postgres.query<{ name: keyof typeof REQUEST_COLUMNS; type: string }>(`
    select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
    where attrelid = 'usage.bare'::regclass and attnum > 0 and not attisdropped and attname <> 'ended_tx'`);
  const arrays = columns.map(({ type }, index) => `$${index + 1}::${type}[]`);
  const text = `insert into usage.bare (${columns.map(({ name }) => name).join(", ")}) select * from unnest(${arrays.join(", ")})`;
  return async (requests) => {
    for (let first = 0; first < requests.length; first += BATCH) {
      const batch = requests.slice(first, first + BATCH);
      const values = columns.map(({ name, type }) => {
        const column = batch.map((request): unknown => REQUEST_COLUMNS[name].get(request));
        return type === "jsonb" ? column.map((value) => JSON.stringify(value)) : column;
      });
      await postgres.query({ name: "bare", text, values });
    }
  };
}

function sum(first: RoundTimes, second: RoundTimes): RoundTimes {
  return {
    wall: first.wall + second.wall,
    cpu: first.cpu + second.cpu,
    postgresCpu: first.postgresCpu + second.postgresCpu,
  };
}

function describe(results: Readonly<Record<string, RoundTimes>>): string {
  return Object.entries(results)
    .map(
      ([name, { wall, cpu, postgresCpu }]) =>
        `${name} ${wall.toFixed(2)} s (${cpu.toFixed(2)} + ${postgresCpu.toFixed(2)})`,
    )
    .join("   ");
}

/** Prints the median rates of `eventsPerRow` events for each row, and their shares of the bare insert, round by round. */
function report(name: string, times: readonly RoundTimes[], bare: readonly RoundTimes[], eventsPerRow = 1): void {
  const events = ROWS * eventsPerRow;
  const cpuOf = ({ cpu, postgresCpu }: RoundTimes): number => cpu + postgresCpu;
  const perSecond = median(times.map(({ wall }) => events / wall));
  const perCpuSecond = median(times.map((round) => events / cpuOf(round)));
  const shares = times.map((measured, round) => {
    const baseline = bare[round] ?? measured;
    return {
      wall: (eventsPerRow * baseline.wall) / measured.wall,
      cpu: (eventsPerRow * cpuOf(baseline)) / cpuOf(measured),
    };
  });
  process.stdout.write(
    `${name}: ${perSecond.toFixed(0)} events/s, share ${median(shares.map(({ wall }) => wall)).toFixed(2)}; ` +
      `of one core's CPU ${perCpuSecond.toFixed(0)} events/s, share ${median(shares.map(({ cpu }) => cpu)).toFixed(2)}; ` +
      `writer ${micros(times, ({ cpu }) => cpu, events)}, Postgres ${micros(times, ({ postgresCpu }) => postgresCpu, events)} an event\n`,
  );
}

function micros(times: readonly RoundTimes[], part: (times: RoundTimes) => number, events: number): string {
  return `${((median(times.map(part)) / events) * 1e6).toFixed(1)} us`;
}

await main();
