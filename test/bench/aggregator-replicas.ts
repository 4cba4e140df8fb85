import { setTimeout as delay } from "node:timers/promises";
import { type Id, newId } from "@routeplane/domain";
import pg from "pg";
import type { LoggedRequest } from "../../services/usage/src/domain/request.ts";
import { type AggregatorProcess, spawnAggregator } from "../../services/usage/test/aggregator-process.ts";
import { pendingRequest, settledRequest } from "../../services/usage/test/requests.ts";
import { cpuSeconds, familyCpuSeconds, load, median } from "./times.ts";
import { openBenchPublisher, publish, untilSummed } from "./usage-load.ts";
import { startUsageServers } from "./usage-servers.ts";

/**
 * Measures the events per second that aggregators write together, by the number of namespaces that the events are of and the number
 * of aggregators, and their CPU time by event. Events are published while the aggregators are suspended, and written once they go on.
 * The rate is measured from a tenth to nine tenths of them: at the beginning a suspended process may have to reconnect, and at the end it
 * may wait for messages that are sent again. Every figure is the median of ROUNDS. Other load on the machine affects the rates more than
 * the CPU time, so compare only rates of one run.
 */

const ROUNDS = Number(process.env["ROUNDS"] ?? 3);
const ROWS = Number(process.env["ROWS"] ?? 40_000);
const NAMESPACES = [1, 1_000, 10_000];
const REPLICAS = [1, 2, 4];
/** Keys over all namespaces, one in each at least. */
const KEYS = 100;
const MODELS = 5;
/** Shares of the events between which the rate is measured. */
const [MEASURED_FROM, MEASURED_TO] = [0.1, 0.9] as const;
/** Time in which aggregators share the partitions among themselves. */
const SETTLE_MS = 6_000;

/** Events per second, and seconds of CPU time of the aggregators and of Postgres. */
interface Round {
  readonly rate: number;
  readonly own: number;
  readonly postgres: number;
}

async function cpuOf(pids: readonly number[], postgresPid: number): Promise<Omit<Round, "rate">> {
  const own = await Promise.all(pids.map(cpuSeconds));
  return { own: own.reduce((sum, seconds) => sum + seconds, 0), postgres: await familyCpuSeconds(postgresPid) };
}

async function main(): Promise<void> {
  const servers = await startUsageServers();
  const postgres = new pg.Client({ connectionString: servers.adminUrl });
  const publisher = openBenchPublisher(servers);
  let running: AggregatorProcess[] = [];
  let written = 0;
  try {
    await postgres.connect();
    for (const replicas of REPLICAS) {
      const databaseUrl = servers.url("routeplane_aggregator");
      while (running.length < replicas) running.push(spawnAggregator({ databaseUrl, natsUrl: servers.natsUrl }));
      await Promise.all(running.map(untilReady));
      await delay(SETTLE_MS);
      for (const namespaces of NAMESPACES) {
        const rounds: Round[] = [];
        for (let round = 0; round <= ROUNDS; round++) {
          const requests = makeRequests(Array.from({ length: namespaces }, () => newId("ns")));
          for (const { pid } of running) process.kill(pid, "SIGSTOP");
          await publish(publisher, requests);
          const pids = running.map(({ pid }) => pid);
          const before = await cpuOf(pids, servers.postgresPid);
          for (const pid of pids) process.kill(pid, "SIGCONT");
          await untilSummed(postgres, "succeeded", written + ROWS * MEASURED_FROM);
          const from = performance.now();
          await untilSummed(postgres, "succeeded", written + ROWS * MEASURED_TO);
          const seconds = (performance.now() - from) / 1_000;
          written += ROWS;
          await untilSummed(postgres, "succeeded", written);
          const after = await cpuOf(pids, servers.postgresPid);
          const rate = (ROWS * (MEASURED_TO - MEASURED_FROM)) / seconds;
          // The first round is the warm-up.
          if (round > 0) rounds.push({ rate, own: after.own - before.own, postgres: after.postgres - before.postgres });
        }
        const micros = (select: (round: Round) => number): string =>
          `${((median(rounds.map(select)) * 1_000_000) / ROWS).toFixed(0)} us`;
        process.stdout.write(
          `${replicas} aggregators, ${namespaces} namespaces: ${median(rounds.map(({ rate }) => rate)).toFixed(0)} events/s   ` +
            `CPU by event ${micros(({ own }) => own)} + Postgres ${micros(({ postgres }) => postgres)}   ${load()}\n`,
        );
      }
    }
  } finally {
    for (const { pid } of running) process.kill(pid, "SIGCONT");
    await Promise.all(running.map((aggregator) => aggregator.stop()));
    running = [];
    await publisher.stop();
    await postgres.end();
    await servers.remove();
  }
}

function makeRequests(namespaces: readonly Id<"ns">[]): LoggedRequest[] {
  const keysOfEach = Math.max(1, Math.floor(KEYS / namespaces.length));
  const keys = namespaces.map(() => Array.from({ length: keysOfEach }, () => newId("key")));
  return Array.from({ length: ROWS }, (_, nth) => {
    const at = nth % namespaces.length;
    const keyId = keys[at]?.[Math.floor(Math.random() * keysOfEach)] ?? newId("key");
    const model = `model-${Math.floor(Math.random() * MODELS)}`;
    const facts = { namespaceId: namespaces[at] ?? newId("ns"), keyId, model, provider: "bench" };
    const settled = settledRequest(pendingRequest({ ...facts, createdAt: new Date() }));
    // Without a guardrail, as most requests.
    return { ...settled, receipt: { ...settled.receipt, guardrailDecisions: [] } };
  });
}

async function untilReady(aggregator: AggregatorProcess): Promise<void> {
  while (!aggregator.output().includes("connected to NATS")) await delay(50);
}

await main();
