import { type Component, type Logger, runPeriodically } from "@routeplane/runtime";
import type { RequestLog } from "../domain/ports.ts";

const HOUR_MS = 60 * 60 * 1000;
const RETRY_MS = 30_000;

/** Creates the partitions of the next months in time. Requests without a partition of their own go to the default one. */
export function createPartitions(requests: RequestLog, log: Logger): Component {
  return runPeriodically({
    name: "create partitions of the request log",
    everyMs: HOUR_MS,
    retryMs: RETRY_MS,
    log,
    async run() {
      const partitions = await requests.createPartitions();
      if (partitions.length > 0) log.info({ partitions }, "created partitions of the request log");
      return false;
    },
  });
}

/** Drops partitions whose retention is over; their sums stay. */
export function dropExpiredPartitions(requests: RequestLog, retentionDays: number, log: Logger): Component {
  return runPeriodically({
    name: "drop expired partitions of the request log",
    everyMs: HOUR_MS,
    retryMs: RETRY_MS,
    log,
    async run() {
      const partitions = await requests.dropExpiredPartitions(retentionDays);
      if (partitions.length > 0) log.info({ partitions, retentionDays }, "dropped partitions of the request log");
      return false;
    },
  });
}
