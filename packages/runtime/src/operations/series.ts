import { Counter, Histogram, type HistogramConfiguration } from "prom-client";

declare module "prom-client" {
  interface Histogram<T extends string> {
    /** Reads the values; called for every output format. Missing in the types of prom-client. */
    getForPromString(): ReturnType<Histogram<T>["get"]>;
  }
}

/** Counter for one set of labels. */
export interface CountSeries {
  inc(value?: number): void;
}

/** Histogram for one set of labels. */
export interface DurationSeries {
  observe(seconds: number): void;
}

type Labels<Label extends string> = Readonly<Record<Label, string>>;

/**
 * Counter that counts in plain numbers, and adds them to prom-client's when it is scraped. prom-client checks and joins the labels at each
 * `inc`, also for a child: 0.23 us instead of 0.01, several times in each call.
 */
export class SeriesCounter<Label extends string> extends Counter<Label> {
  readonly #pending: (() => void)[] = [];

  collect(): void {
    for (const addPending of this.#pending) addPending();
  }

  /** Creates the counter for a set of labels. It lives as long as the process, so use it only for labels with few values. */
  series(labels: Labels<Label>): CountSeries {
    let pending = 0;
    this.#pending.push(() => {
      if (pending > 0) this.inc(labels, pending);
      pending = 0;
    });
    return { inc: (value = 1) => void (pending += value) };
  }
}

/** Histogram of durations that observes in the same way. A set of labels is observed by `series` or by `observe`, not by both. */
export class SeriesHistogram<Label extends string> extends Histogram<Label> {
  readonly #name: string;
  readonly #bounds: readonly number[];
  readonly #series: Series<Label>[] = [];

  constructor(options: HistogramConfiguration<Label> & { readonly buckets: readonly number[] }) {
    super({ ...options, buckets: [...options.buckets] });
    this.#name = options.name;
    this.#bounds = options.buckets;
  }

  /** Creates the histogram for a set of labels. It lives as long as the process, so use it only for labels with few values. */
  series(labels: Labels<Label>): DurationSeries {
    const series = new Series(labels, this.#bounds);
    this.#series.push(series);
    return series;
  }

  override async getForPromString() {
    const metric = await super.getForPromString();
    return { ...metric, values: [...metric.values, ...this.#series.flatMap((series) => series.values(this.#name))] };
  }
}

class Series<Label extends string> implements DurationSeries {
  readonly #labels: Labels<Label>;
  readonly #bounds: readonly number[];
  /** Observations by bucket; the last is beyond all bounds. */
  readonly #counts: number[];
  #sum = 0;

  constructor(labels: Labels<Label>, bounds: readonly number[]) {
    this.#labels = labels;
    this.#bounds = bounds;
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  observe(seconds: number): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && seconds > (this.#bounds[bucket] ?? 0)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += seconds;
  }

  /** Values of the series, as Prometheus has them: each bucket includes those below it. None before the first observation. */
  values(name: string) {
    const sharedLabels = this.#labels;
    let count = 0;
    const buckets = [...this.#bounds, "+Inf"].map((le, bucket) => {
      count += this.#counts[bucket] ?? 0;
      return { labels: { le }, sharedLabels, value: count, metricName: `${name}_bucket` };
    });
    if (count === 0) return [];
    return [
      ...buckets,
      { labels: {}, sharedLabels, value: this.#sum, metricName: `${name}_sum` },
      { labels: {}, sharedLabels, value: count, metricName: `${name}_count` },
    ];
  }
}
