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
 * size. The two alternate, so that other load on the machine affects both; each figure is the median of ROUNDS. CPU time is that
 * of the writing process and of all of Postgres: the rate of one core that does nothing else.
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

/** Times of one round, in seconds. */
interface Taken {
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
  const taken = { bare: [] as Taken[], settled: [] as Taken[], admitted: [] as Taken[], later: [] as Taken[] };
  for (let round = 0; round <= ROUNDS; round++) {
    const requests = makeRequests(ROWS, newId("ns"));
    const others = makeRequests(ROWS, newId("ns"));
    const results = {
      bare: await time(bench, process.pid, () => bareInsert(requests)),
      settled: await aggregate(bench, requests, "succeeded"),
      admitted: await aggregate(bench, others.map(admissionOf), "pending"),
      later: await aggregate(bench, others, "succeeded"),
    };
    process.stderr.write(`${round === 0 ? "warm-up" : `round ${round}`}, ${load()}: ${describe(results)}\n`);
    if (round === 0) continue;
    for (const name of ["bare", "settled", "admitted", "later"] as const) taken[name].push(results[name]);
  }
  report("bare insert", taken.bare, taken.bare);
  report("one event a request", taken.settled, taken.bare);
  const both = taken.admitted.map((admitted, round) => sum(admitted, taken.later[round] ?? admitted));
  report("both events, in batches of their own", both, taken.bare, 2);
  process.stdout.write(`${load()}\n`);
}

/** Publishes while the aggregator is suspended, then measures it until it has written everything. */
async function aggregate(bench: Bench, said: readonly LoggedRequest[], status: string): Promise<Taken> {
  const { aggregator, postgres, publisher } = bench;
  await untilReady(aggregator);
  const before = await summed(postgres, status);
  process.kill(aggregator.pid, "SIGSTOP");
  await publish(publisher, said);
  return time(bench, aggregator.pid, async () => {
    process.kill(aggregator.pid, "SIGCONT");
    await untilSummed(postgres, status, before + said.length);
  });
}

async function untilReady(aggregator: AggregatorProcess): Promise<void> {
  while (!aggregator.output().includes("nats server")) await delay(50);
}

async function summed(postgres: pg.Client, status: string): Promise<number> {
  const { rows } = await postgres.query<{ sum: string | null }>(
    "select sum(request_count) from usage.rollups_daily where status = $1",
    [status],
  );
  return Number(rows[0]?.sum ?? 0);
}

async function time({ servers }: Bench, pid: number, work: () => Promise<void>): Promise<Taken> {
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

function sum(one: Taken, other: Taken): Taken {
  return {
    wall: one.wall + other.wall,
    cpu: one.cpu + other.cpu,
    postgresCpu: one.postgresCpu + other.postgresCpu,
  };
}

function describe(results: Readonly<Record<string, Taken>>): string {
  return Object.entries(results)
    .map(
      ([name, { wall, cpu, postgresCpu }]) =>
        `${name} ${wall.toFixed(2)} s (${cpu.toFixed(2)} + ${postgresCpu.toFixed(2)})`,
    )
    .join("   ");
}

/** Prints the median rates of `eventsEach` events per row, and their shares of the bare insert, round by round. */
function report(name: string, taken: readonly Taken[], bare: readonly Taken[], eventsEach = 1): void {
  const events = ROWS * eventsEach;
  const cpuOf = ({ cpu, postgresCpu }: Taken): number => cpu + postgresCpu;
  const perSecond = median(taken.map(({ wall }) => events / wall));
  const perCpuSecond = median(taken.map((each) => events / cpuOf(each)));
  const shares = taken.map((each, round) => {
    const beside = bare[round] ?? each;
    return { wall: (eventsEach * beside.wall) / each.wall, cpu: (eventsEach * cpuOf(beside)) / cpuOf(each) };
  });
  process.stdout.write(
    `${name}: ${perSecond.toFixed(0)} events/s, share ${median(shares.map(({ wall }) => wall)).toFixed(2)}; ` +
      `of one core's CPU ${perCpuSecond.toFixed(0)} events/s, share ${median(shares.map(({ cpu }) => cpu)).toFixed(2)}; ` +
      `writer ${micros(taken, ({ cpu }) => cpu, events)}, Postgres ${micros(taken, ({ postgresCpu }) => postgresCpu, events)} an event\n`,
  );
}

function micros(taken: readonly Taken[], part: (taken: Taken) => number, events: number): string {
  return `${((median(taken.map(part)) / events) * 1e6).toFixed(1)} us`;
}

await main();
