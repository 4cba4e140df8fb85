/** Metric with its value. One that is not known has none, and is left out rather than shown as 0. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: "gauge" | "counter";
  readonly value: number | undefined;
}
