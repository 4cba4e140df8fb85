/** Most series of a chart that have a colour of their own. */
const MAX_SERIES = 7;

/** Amount of one series in one bucket. */
export interface Point {
  /** Identifies the series. */
  readonly id: string;
  /** Index of the bucket. */
  readonly bucket: number;
  readonly value: bigint;
}

/** Series of a chart. Its place in the list is its colour. */
export interface Series {
  /** Absent for the rest: all series that have no colour of their own. */
  readonly id?: string;
  readonly name: string;
  /** Exact amount of each bucket. */
  readonly values: readonly bigint[];
  readonly total: bigint;
}

/**
 * Adds points up to series, the largest first. Those beyond the seventh are one series, `Rest`. Series without any amount are left
 * out; amounts are never lost: the totals of the series add up to the sum of the points.
 */
export function toSeries(
  points: readonly Point[],
  bucketCount: number,
  nameOf: (id: string) => string = (id) => id,
): readonly Series[] {
  const byId = new Map<string, bigint[]>();
  for (const { id, bucket, value } of points) {
    const values = byId.get(id) ?? Array.from({ length: bucketCount }, () => 0n);
    values[bucket] = (values[bucket] ?? 0n) + value;
    byId.set(id, values);
  }
  const all = [...byId]
    .map(([id, values]): Series => ({ id, name: nameOf(id), values, total: sum(values) }))
    .filter(({ total }) => total !== 0n)
    .toSorted((a, b) => compare(b.total, a.total) || compare(a.name, b.name));
  // One series more is shown by its name rather than as a rest of one.
  if (all.length <= MAX_SERIES + 1) return all;
  const others = all.slice(MAX_SERIES);
  const values = Array.from({ length: bucketCount }, (_, bucket) =>
    sum(others.map((series) => series.values[bucket] ?? 0n)),
  );
  return [...all.slice(0, MAX_SERIES), { name: `Rest (${others.length})`, values, total: sum(values) }];
}

/** Sum of amounts. */
export function sum(values: readonly bigint[]): bigint {
  return values.reduce((total, value) => total + value, 0n);
}

function compare<T extends bigint | string>(a: T, b: T): number {
  return a < b ? -1 : Number(a > b);
}
