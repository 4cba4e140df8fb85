import { type Component, type Logger, runPeriodically } from "@routeplane/runtime";
import type { RequestLog } from "../domain/ports.ts";

const HOUR_MS = 60 * 60 * 1000;
const RETRY_MS = 30_000;

/**
 * Creates the partitions of the next months in advance. Rows without a partition of their own go to the default partition.
 *
 * @param dailyFromBytes as in `RequestLog.createPartitions`
 */
export function createPartitions(requests: RequestLog, dailyFromBytes: number | undefined, log: Logger): Component {
  return runPeriodically({
    name: "create partitions",
    everyMs: HOUR_MS,
    retryMs: RETRY_MS,
    log,
    async run() {
      const partitions = await requests.createPartitions(dailyFromBytes);
      if (partitions.length > 0) log.info({ partitions }, "created partitions");
      return false;
    },
  });
}

/** Retention in days of the request log, and of the sums, which is not shorter. */
export interface Retention {
  readonly retentionDays: number;
  readonly sumRetentionDays: number;
}

/** Drops partitions of the request log, and then of the sums, whose retention is over. */
export function dropExpiredPartitions(
  requests: RequestLog,
  { retentionDays, sumRetentionDays }: Retention,
  log: Logger,
): Component {
  return runPeriodically({
    name: "drop expired partitions",
    everyMs: HOUR_MS,
    retryMs: RETRY_MS,
    log,
    async run() {
      const ofLog = await requests.dropExpiredPartitions(retentionDays);
      if (ofLog.length > 0) log.info({ partitions: ofLog, retentionDays }, "dropped partitions of the request log");
      const ofSums = await requests.dropExpiredSums(sumRetentionDays);
      if (ofSums.length > 0) log.info({ partitions: ofSums, sumRetentionDays }, "dropped partitions of sums");
      return false;
    },
  });
}
