import { setTimeout as delay } from "node:timers/promises";
import type { Component, Logger } from "@routeplane/runtime";
import type { RequestLog } from "../domain/ports.ts";

const INTERVAL_MS = 60 * 60 * 1000;
const RETRY_MS = 30_000;

/**
 * Sees to it, for as long as the process runs, that the request log has a partition for the months to come. Nothing waits
 * for it: there are months enough ahead, and a default partition behind them.
 */
export function prepareMonthsForEver(requests: RequestLog, log: Logger): Component {
  const stopped = new AbortController();
  const running = (async () => {
    while (!stopped.signal.aborted) {
      let waitMs = INTERVAL_MS;
      try {
        const made = await requests.prepareMonths();
        if (made.length > 0) log.info({ partitions: made }, "partitions of the request log made");
      } catch (error) {
        log.warn({ err: error }, "partitions of the request log could not be made; trying again");
        waitMs = RETRY_MS;
      }
      await delay(waitMs, undefined, { signal: stopped.signal }).catch(() => {});
    }
  })();
  return {
    name: "partitions ahead",
    async stop() {
      stopped.abort();
      await running;
    },
  };
}
