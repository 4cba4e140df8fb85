import { eventually } from "@routeplane/testing";
import { expect, it, onTestFinished } from "vitest";
import { createLogger } from "./log.ts";
import { readMetrics } from "./operations/metrics.ts";
import { runPeriodically } from "./periodic-job.ts";

it("tries again after a failure, and shows failures and the last success as metrics", async () => {
  let runs = 0;
  const startedAt = Date.now() / 1_000;
  const job = runPeriodically({
    name: "test a job",
    everyMs: 60_000,
    retryMs: 1,
    log: createLogger("test", () => ""),
    async run() {
      runs += 1;
      if (runs <= 2) throw new Error("not yet");
      return runs < 5;
    },
  });
  onTestFinished(() => job.stop());
  await eventually(() => runs === 5);
  const { text } = await readMetrics();
  expect(text).toContain('routeplane_job_failures_total{job="test a job"} 2');
  const [, lastSuccess] = /routeplane_job_last_success_timestamp_seconds\{job="test a job"\} (\S+)/.exec(text) ?? [];
  expect(Number(lastSuccess)).toBeGreaterThanOrEqual(startedAt);
});
