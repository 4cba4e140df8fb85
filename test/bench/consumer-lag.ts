import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { newId } from "@routeplane/domain";
import pg from "pg";
import { spawnAggregator } from "../../services/usage/test/aggregator-process.ts";
import { load } from "./times.ts";
import { admissionOf, makeRequests, openBenchPublisher, publish, untilSummed } from "./usage-load.ts";
import { startUsageServers, type UsageServers } from "./usage-servers.ts";

/**
 * Measures an aggregator that starts with a consumer lag of EVENTS events (a million by default): its peak resident memory, and its
 * events per second, start included. Both events of each request, a few thousand apart, as for requests that take a while.
 */

const EVENTS = Number(process.env["EVENTS"] ?? 1_000_000);
const CHUNK = 10_000;
const SAMPLE_MS = 1_000;

async function main(): Promise<void> {
  const servers = await startUsageServers();
  try {
    await publishBacklog(servers);
    await drain(servers);
  } finally {
    await servers.remove();
  }
}

async function publishBacklog(servers: UsageServers): Promise<void> {
  const publisher = openBenchPublisher(servers);
  const namespaceId = newId("ns");
  for (let published = 0; published < EVENTS; published += 2 * CHUNK) {
    const requests = makeRequests(CHUNK, namespaceId);
    await publish(publisher, requests.map(admissionOf));
    await publish(publisher, requests);
    process.stderr.write(`\r${published + 2 * CHUNK} events published`);
  }
  process.stderr.write("\n");
  await publisher.stop();
}

async function drain(servers: UsageServers): Promise<void> {
  const postgres = new pg.Client({ connectionString: servers.adminUrl });
  await postgres.connect();
  const began = performance.now();
  const aggregator = spawnAggregator({
    databaseUrl: servers.url("routeplane_aggregator"),
    natsUrl: servers.natsUrl,
  });
  const sampling = new AbortController();
  const resident: number[] = [];
  const sampler = (async () => {
    while (!sampling.signal.aborted) {
      resident.push(await megabytes(aggregator.pid, "VmRSS"));
      await delay(SAMPLE_MS, undefined, { signal: sampling.signal }).catch(() => {});
    }
  })();
  try {
    await untilSummed(postgres, "succeeded", EVENTS / 2);
    const seconds = (performance.now() - began) / 1_000;
    process.stdout.write(
      `${EVENTS} events in ${seconds.toFixed(0)} s: ${(EVENTS / seconds).toFixed(0)} events/s, ` +
        `at most ${await megabytes(aggregator.pid, "VmHWM")} MB of memory, ` +
        `${Math.min(...resident.slice(2))} to ${Math.max(...resident)} MB of it in each second; ${load()}\n`,
    );
  } finally {
    sampling.abort();
    await sampler;
    await aggregator.stop();
    await postgres.end();
  }
}

/** Resident memory of a process. @param field of /proc/<pid>/status: `VmRSS` now, `VmHWM` at its peak */
async function megabytes(pid: number, field: "VmRSS" | "VmHWM"): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Math.round(Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) / 1_024);
}

await main();
