import type { Metric } from "../domain/metrics.ts";

/** Metrics in the text format of Prometheus, version 0.0.4. */

export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export function toMetricsText(metrics: readonly Metric[]): string {
  return metrics
    .flatMap(({ name, help, type, value }) =>
      value === undefined ? [] : [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, `${name} ${value}`],
    )
    .map((line) => `${line}\n`)
    .join("");
}
