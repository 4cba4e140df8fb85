import type { Component, Logger } from "@routeplane/runtime";
import type { RequestLog } from "../domain/ports.ts";
import { runPeriodically } from "./periodic-job.ts";

const HOUR_MS = 60 * 60 * 1000;
const RETRY_MS = 30_000;

const OVERDUE_EVERY_MS = 5_000;
/** In one transaction: short enough to be in nobody's way. */
const OVERDUE_AT_ONCE = 500;

/** Sees to it that there is a partition for the months to come: enough ahead, and a default partition behind them. */
export function createPartitions(requests: RequestLog, log: Logger): Component {
  return runPeriodically({
    name: "make partitions of the request log",
    everyMs: HOUR_MS,
    retryMs: RETRY_MS,
    log,
    async run() {
      const made = await requests.createPartitions();
      if (made.length > 0) log.info({ partitions: made }, "partitions of the request log made");
      return false;
    },
  });
}

/** Sees to it that months whose time is over leave; their sums stay. */
export function dropExpiredPartitions(requests: RequestLog, keepDays: number, log: Logger): Component {
  return runPeriodically({
    name: "drop old months of the request log",
    everyMs: HOUR_MS,
    retryMs: RETRY_MS,
    log,
    async run() {
      const dropped = await requests.dropExpiredPartitions(keepDays);
      if (dropped.length > 0) log.info({ partitions: dropped, keepDays }, "old months of the request log dropped");
      return false;
    },
  });
}

/** Sees to it that what nobody settles is charged all the same. Any number of replicas may do so at once. */
export function expireRequests(requests: RequestLog, log: Logger): Component {
  return runPeriodically({
    name: "charge requests that nobody settled",
    everyMs: OVERDUE_EVERY_MS,
    retryMs: RETRY_MS,
    log,
    async run() {
      const charged = await requests.expireRequests(OVERDUE_AT_ONCE);
      if (charged > 0n) log.warn({ requests: Number(charged) }, "requests that nobody settled are charged as reserved");
      return charged === BigInt(OVERDUE_AT_ONCE);
    },
  });
}
