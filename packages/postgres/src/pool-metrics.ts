import { gauge } from "@routeplane/runtime";
import type pg from "pg";

/** Registers the gauge of the connections of this process's pool. */
export function observePool(pool: pg.Pool): void {
  gauge({
    name: "routeplane_database_connections",
    help: "Connections of the pool that are in use or idle, and transactions that wait for one.",
    labels: ["state"],
    read: () => [
      { labels: { state: "used" }, value: pool.totalCount - pool.idleCount },
      { labels: { state: "idle" }, value: pool.idleCount },
      { labels: { state: "waiting" }, value: pool.waitingCount },
    ],
  });
}
