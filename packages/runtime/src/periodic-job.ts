import { setTimeout as delay } from "node:timers/promises";
import type { Component } from "./lifecycle.ts";
import type { Logger } from "./log.ts";
import { counter, gauge } from "./operations/metrics.ts";

const failures = counter({
  name: "routeplane_job_failures_total",
  help: "Runs of a periodic job that failed; it tries again.",
  labels: ["job"],
});

/** Seconds of the Unix epoch at which each job of this process last succeeded. */
const lastSuccesses = new Map<string, number>();
gauge({
  name: "routeplane_job_last_success_timestamp_seconds",
  help: "Time at which a periodic job last succeeded. Absent until it did once.",
  labels: ["job"],
  read: () => [...lastSuccesses].map(([job, value]) => ({ labels: { job }, value })),
});

export interface PeriodicJob {
  /** Name as an imperative that follows "could not", e.g. `drop expired partitions`. From a fixed list: it is a label of metrics. */
  readonly name: string;
  readonly everyMs: number;
  /** Time from a failure to the next attempt. */
  readonly retryMs: number;
  readonly log: Logger;
  /** Does the work once. Resolves to true if more work is left to do immediately. */
  readonly run: () => Promise<boolean>;
}

/** Runs a job repeatedly until it is stopped. A failure is logged, and the job continues. */
export function runPeriodically({ name, everyMs, retryMs, log, run }: PeriodicJob): Component {
  const stopped = new AbortController();
  const running = (async () => {
    while (!stopped.signal.aborted) {
      let waitMs = everyMs;
      try {
        const hasMore = await run();
        lastSuccesses.set(name, Date.now() / 1_000);
        if (hasMore) continue;
      } catch (error) {
        failures.inc({ job: name });
        log.warn({ err: error, job: name }, "job failed; retrying");
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
