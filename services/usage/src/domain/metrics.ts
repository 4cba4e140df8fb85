/** A gauge without a value is left out: what is not known must not look like 0. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: "gauge" | "counter";
  readonly value: number | undefined;
}
