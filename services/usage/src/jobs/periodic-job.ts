import { setTimeout as delay } from "node:timers/promises";
import type { Component, Logger } from "@routeplane/runtime";

export interface PeriodicJob {
  /** What it does, in words that follow "could not": the log's when it fails. */
  readonly name: string;
  readonly everyMs: number;
  /** Until it is tried again after a failure. */
  readonly retryMs: number;
  readonly log: Logger;
  /** Resolves to true if there is more to do at once. */
  readonly run: () => Promise<boolean>;
}

/** Work beside the consumer, for as long as the process runs. Nothing waits for it, and a failure ends nothing. */
export function runPeriodically({ name, everyMs, retryMs, log, run }: PeriodicJob): Component {
  const stopped = new AbortController();
  const running = (async () => {
    while (!stopped.signal.aborted) {
      let waitMs = everyMs;
      try {
        if (await run()) continue;
      } catch (error) {
        log.warn({ err: error }, `could not ${name}; trying again`);
        waitMs = retryMs;
      }
      await delay(waitMs, undefined, { signal: stopped.signal }).catch(() => {});
    }
  })();
  return {
    name,
    async stop() {
      stopped.abort();
      await running;
    },
  };
}
