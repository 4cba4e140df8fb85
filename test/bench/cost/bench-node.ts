import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { superuserUrl } from "../../harness/database.ts";
import type { TestNode } from "../../harness/node.ts";
import { startNodeWithUpstream } from "../everything-on.ts";
import { type ByRole, cpuByRole, mapRoles, ROLES } from "./node-figures.ts";

/** Node of the benchmark, with the connection on which it waits for the work that requests cause later. */
export interface BenchNode {
  readonly node: TestNode;
  /** CPU time that each role has used so far, in seconds, without this connection. */
  cpu(): Promise<ByRole>;
  /** Number of requests that have a row. */
  requestCount(): Promise<number>;
  /** Resolves once `count` requests have a row and none is pending, and the node does no more than when it is idle. */
  untilRecorded(count: number): Promise<void>;
  /** Measures the CPU time per second of the idle node, which `untilRecorded` compares with. */
  measureIdle(seconds: number): Promise<ByRole>;
  remove(): Promise<void>;
}

const RECORDED_TIMEOUT_MS = 60_000;
/** Time limit for the node to become quiet. Reports of the gateways arrive within a second. If it does not, its further work counts too. */
const QUIET_WINDOW_MS = 1_000;
const QUIET_WINDOWS_MAX = 8;

/** Starts a node whose models are answered by the upstream, with the variables `ROUTEPLANE_…` of this process. */
export async function startBenchNode(upstreamUrl: string, gateways: number): Promise<BenchNode> {
  const node = await startNodeWithUpstream(upstreamUrl, { gateways, environment: ownVariables() });
  const postgres = new pg.Client({ connectionString: await superuserUrl(node.home) });
  // A lost connection fails the next query. Without a listener it would end the process before the node is stopped.
  postgres.on("error", () => {});
  await postgres.connect();
  await postgres.query("set search_path = usage");
  const { rows } = await postgres.query<{ pid: number }>("select pg_backend_pid() as pid");
  const cpu = (): Promise<ByRole> => cpuByRole(node, [rows[0]?.pid ?? 0]);
  const requestCount = async (): Promise<number> => {
    const { rows } = await postgres.query<{ count: string }>(
      "select coalesce(sum(request_count), 0) as count from totals where minutes = 1440",
    );
    return Number(rows[0]?.count);
  };
  const isAnyPending = async (): Promise<boolean> => {
    const { rows } = await postgres.query<{ found: boolean }>(
      "select exists (select from requests where status = 'pending') as found",
    );
    return rows[0]?.found ?? false;
  };
  let idlePerSecond = 0;
  const measureIdle = async (seconds: number): Promise<ByRole> => {
    const before = await cpu();
    await delay(seconds * 1_000);
    const after = await cpu();
    const rates = mapRoles((role) => (after[role] - before[role]) / seconds);
    idlePerSecond = sumOf(rates);
    return rates;
  };
  const untilQuiet = async (): Promise<void> => {
    for (let count = 0, before = sumOf(await cpu()); count < QUIET_WINDOWS_MAX; count++) {
      await delay(QUIET_WINDOW_MS);
      const now = sumOf(await cpu());
      if ((now - before) * 1_000 < (2 * idlePerSecond + 0.02) * QUIET_WINDOW_MS) return;
      before = now;
    }
  };
  return {
    node,
    cpu,
    requestCount,
    measureIdle,
    async untilRecorded(count) {
      const until = performance.now() + RECORDED_TIMEOUT_MS;
      while ((await requestCount()) < count || (await isAnyPending())) {
        if (performance.now() > until) throw new Error(`${count} requests are not recorded after a minute`);
        await delay(250);
      }
      await untilQuiet();
    },
    async remove() {
      await postgres.end();
      await node.remove();
    },
  };
}

function sumOf(values: ByRole): number {
  return ROLES.reduce((sum, role) => sum + values[role], 0);
}

function ownVariables(): Record<string, string> {
  const own = Object.entries(process.env).filter(([name]) => name.startsWith("ROUTEPLANE_"));
  return Object.fromEntries(own.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}
