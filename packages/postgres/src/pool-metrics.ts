import { gauge } from "@routeplane/runtime";
import type pg from "pg";

/** Open pools of this process. */
const pools = new Set<pg.Pool>();

/** Adds a pool to the gauge of the connections of this process, until it has ended. */
export function observePool(pool: pg.Pool): void {
  for (const other of pools) if (other.ended) pools.delete(other);
  pools.add(pool);
  const sumOf = (count: (pool: pg.Pool) => number): number =>
    [...pools].reduce((sum, each) => sum + (each.ended ? 0 : count(each)), 0);
  gauge({
    name: "routeplane_database_connections",
    help: "Connections of the pools that are in use or idle, and transactions that wait for one.",
    labels: ["state"],
    read: () => [
      { labels: { state: "used" }, value: sumOf(({ totalCount, idleCount }) => totalCount - idleCount) },
      { labels: { state: "idle" }, value: sumOf(({ idleCount }) => idleCount) },
      { labels: { state: "waiting" }, value: sumOf(({ waitingCount }) => waitingCount) },
    ],
  });
}
