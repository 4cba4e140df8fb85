import type { Component, Logger } from "@routeplane/runtime";
import type { RequestLog } from "../domain/ports.ts";
import { repeatForEver } from "./repeating.ts";

const HOUR_MS = 60 * 60 * 1000;
const RETRY_MS = 30_000;

const OVERDUE_EVERY_MS = 5_000;
/** In one transaction: short enough to be in nobody's way. */
const OVERDUE_AT_ONCE = 500;

/** Sees to it that there is a partition for the months to come: enough ahead, and a default partition behind them. */
export function prepareMonths(requests: RequestLog, log: Logger): Component {
  return repeatForEver({
    name: "make partitions of the request log",
    everyMs: HOUR_MS,
    retryMs: RETRY_MS,
    log,
    async work() {
      const made = await requests.prepareMonths();
      if (made.length > 0) log.info({ partitions: made }, "partitions of the request log made");
      return false;
    },
  });
}

/** Sees to it that months whose time is over leave; their sums stay. */
export function dropMonths(requests: RequestLog, keepDays: number, log: Logger): Component {
  return repeatForEver({
    name: "drop old months of the request log",
    everyMs: HOUR_MS,
    retryMs: RETRY_MS,
    log,
    async work() {
      const dropped = await requests.dropMonths(keepDays);
      if (dropped.length > 0) log.info({ partitions: dropped, keepDays }, "old months of the request log dropped");
      return false;
    },
  });
}

/** Sees to it that what nobody settles is charged all the same. Any number of replicas may do so at once. */
export function chargeOverdue(requests: RequestLog, log: Logger): Component {
  return repeatForEver({
    name: "charge requests that nobody settled",
    everyMs: OVERDUE_EVERY_MS,
    retryMs: RETRY_MS,
    log,
    async work() {
      const charged = await requests.chargeOverdue(OVERDUE_AT_ONCE);
      if (charged > 0n) log.warn({ requests: Number(charged) }, "requests that nobody settled are charged as reserved");
      return charged === BigInt(OVERDUE_AT_ONCE);
    },
  });
}
