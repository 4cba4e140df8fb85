import { AggregatorRegistry, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { EventLoopLag, type LagSeconds } from "./event-loop.ts";
import { SeriesCounter, SeriesHistogram } from "./series.ts";

/**
 * Metrics of this process, in one registry as in Prometheus's own libraries. A module declares its counters and histograms next to the code
 * that they count; a component registers its gauges when it is opened.
 *
 *     const refusals = counter({ name: "routeplane_gateway_refusals_total", help: "Refused requests.", labels: ["code"] });
 *     refusals.inc({ code: "budget_exceeded" });
 *
 * Names end with the unit, those of counters with `_total`. The values of a label come from a fixed list: never ids, paths, models
 * or anything else that callers choose, because each value is a series for as long as the process lives.
 */
const registry = new Registry();

export interface MetricOptions<Label extends string> {
  readonly name: string;
  readonly help: string;
  /** Names of its labels. None by default. */
  readonly labels?: readonly Label[];
}

/** Upper bounds in seconds, from a warm call to the longest stream. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** Returns the counter of this name, and creates it first if there is none. */
export function counter<Label extends string = never>({ name, help, labels = [] }: MetricOptions<Label>) {
  const existing = registry.getSingleMetric(name);
  if (existing instanceof SeriesCounter) return existing as SeriesCounter<Label>;
  return new SeriesCounter<Label>({ name, help, labelNames: labels, registers: [registry] });
}

/** Returns the histogram of this name, of durations in seconds, and creates it first if there is none. */
export function histogram<Label extends string = never>({ name, help, labels = [] }: MetricOptions<Label>) {
  const existing = registry.getSingleMetric(name);
  if (existing instanceof SeriesHistogram) return existing as SeriesHistogram<Label>;
  return new SeriesHistogram<Label>({ name, help, labelNames: labels, buckets: SECONDS, registers: [registry] });
}

export interface GaugeOptions<Label extends string> extends MetricOptions<Label> {
  /**
   * Reads the values, when they are scraped: one for a gauge without labels, else one for each set of labels. A value that is not
   * known is left out, never 0; so are all values of a read that fails or takes more than 2 s.
   */
  readonly read: () => Values<Label> | Promise<Values<Label>>;
  /** Merge function for the values of several processes of one replica, e.g. the workers of a gateway. `sum` by default. */
  readonly merge?: "sum" | "max" | "min" | "average" | "first";
}

type Values<Label extends string> =
  | number
  | undefined
  | readonly { readonly labels: Readonly<Record<Label, string>>; readonly value: number | undefined }[];

const READ_TIMEOUT_MS = 2_000;

/** Registers a gauge that is read when it is scraped. A later one of the same name replaces it. */
export function gauge<Label extends string = never>(options: GaugeOptions<Label>): void {
  const { name, help, labels = [], read, merge = "sum" } = options;
  registry.removeSingleMetric(name);
  const own: Gauge<Label> = new Gauge<Label>({
    name,
    help,
    aggregator: merge,
    labelNames: labels,
    registers: [registry],
    async collect() {
      own.reset();
      if (labels.length === 0) own.remove();
      const values = await settledInTime(read);
      if (typeof values === "number") own.set(values);
      else if (values !== undefined) setAll(own, values);
    },
  });
}

function setAll<Label extends string>(target: Gauge<Label>, values: Exclude<Values<Label>, number | undefined>): void {
  for (const { labels, value } of values) if (value !== undefined) target.set(labels, value);
}

async function settledInTime<T>(read: () => T | Promise<T>): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), READ_TIMEOUT_MS);
  try {
    return await Promise.race([read(), late]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** Longest interval of a timer. Turns off prom-client's histogram of the event loop, which wakes a process 100 times a second. */
const NEVER_MS = 2 ** 31 - 1;

/** Registers the lag of the event loop in place of prom-client's gauges, by their names. */
function collectEventLoopLag(): void {
  const lag = new EventLoopLag();
  let figures: LagSeconds | undefined;
  // The first gauge reads the figures for a scrape, and the others show them.
  const takeMean = (): number | undefined => (figures = lag.take())?.mean;
  lagGauge("seconds", "average", takeMean);
  lagGauge("mean_seconds", "average", () => figures?.mean);
  lagGauge("min_seconds", "min", () => figures?.min);
  lagGauge("max_seconds", "max", () => figures?.max);
  lagGauge("stddev_seconds", "average", () => figures?.stddev);
  lagGauge("p50_seconds", "average", () => figures?.p50);
  lagGauge("p90_seconds", "average", () => figures?.p90);
  lagGauge("p99_seconds", "average", () => figures?.p99);
}

function lagGauge(figure: string, merge: "average" | "min" | "max", read: () => number | undefined): void {
  const help = "Lag of the event loop since the last scrape, of ten samples a second.";
  gauge({ name: `nodejs_eventloop_lag_${figure}`, help, merge, read });
}

/** Adds the metrics of Node.js (event loop, memory, garbage collection, CPU) and of the build. Called once by each process. */
export function collectProcessMetrics(build: Readonly<Record<"service" | "version", string>>): void {
  if (registry.getSingleMetric("process_cpu_seconds_total") === undefined) {
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: NEVER_MS });
    collectEventLoopLag();
  }
  gauge({
    name: "routeplane_build_info",
    help: "Always 1; the labels name the process and the version of its build.",
    labels: ["service", "version"],
    merge: "first",
    read: () => [{ labels: build, value: 1 }],
  });
}

/** Reads all metrics, in the text format of Prometheus. */
export async function readMetrics(): Promise<{ readonly contentType: string; readonly text: string }> {
  return { contentType: registry.contentType, text: await registry.metrics() };
}

/** Metrics of one process as plain data, which can be sent to another one. */
export type MetricsSnapshot = Awaited<ReturnType<Registry["getMetricsAsJSON"]>>;

export function takeMetricsSnapshot(): Promise<MetricsSnapshot> {
  return registry.getMetricsAsJSON();
}

/** Merges metrics of several processes: counters and histograms are summed, gauges as `merge` says. */
export async function mergeMetrics(snapshots: readonly MetricsSnapshot[]): Promise<MetricsSnapshot> {
  return AggregatorRegistry.aggregate([...snapshots]).getMetricsAsJSON();
}

/** Prints merged metrics in the text format of Prometheus. */
export async function printMetrics(snapshots: readonly MetricsSnapshot[]): Promise<string> {
  return AggregatorRegistry.aggregate([...snapshots]).metrics();
}

export const METRICS_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;
