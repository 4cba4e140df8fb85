import { setTimeout as delay } from "node:timers/promises";
import type { Component } from "./lifecycle.ts";
import type { Logger } from "./log.ts";

export interface PeriodicJob {
  /** Name as an imperative that follows "could not", e.g. `drop expired partitions`. */
  readonly name: string;
  readonly everyMs: number;
  /** Time from a failure to the next attempt. */
  readonly retryMs: number;
  readonly log: Logger;
  /** Does the work once. Resolves to true if there is more to do at once. */
  readonly run: () => Promise<boolean>;
}

/** Runs a job again and again until it is stopped. A failure is logged and ends nothing. */
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
