/** Maximum number of series of a chart with their own colour. */
const MAX_SERIES = 7;

/** Number of series to read for a chart: one more than MAX_SERIES, because a single further series is shown by its name. */
export const SERIES_TO_READ = MAX_SERIES + 1;

/** Amount of one series in one bucket. */
export interface Point {
  /** Id of the series; undefined for the sum of the series that were not read separately. */
  readonly id: string | undefined;
  /** Index of the bucket. */
  readonly bucket: number;
  readonly value: bigint;
}

/** Series of a chart. Its index in the list determines its colour. */
export interface Series {
  /** Absent for the rest: all series without their own colour. */
  readonly id?: string;
  readonly name: string;
  /** Exact amount of each bucket. */
  readonly values: readonly bigint[];
  readonly total: bigint;
}

/**
 * Adds points up to series, the largest first. Series beyond the seventh are joined in one, `Rest`, whose name has their number if all were
 * read separately. Series without any amount are left out. The totals of the series always add up to the sum of the points.
 */
export function toSeries(
  points: readonly Point[],
  bucketCount: number,
  nameOf: (id: string) => string = (id) => id,
): readonly Series[] {
  const valuesOf = (parts: readonly Point[]): readonly bigint[] => {
    const values = Array.from({ length: bucketCount }, () => 0n);
    for (const { bucket, value } of parts) values[bucket] = (values[bucket] ?? 0n) + value;
    return values;
  };
  const byId = Map.groupBy(points, ({ id }) => id);
  const notRead = valuesOf(byId.get(undefined) ?? []);
  const all = [...byId]
    .flatMap(([id, parts]): readonly Series[] => {
      if (id === undefined) return [];
      const values = valuesOf(parts);
      return [{ id, name: nameOf(id), values, total: sum(values) }];
    })
    .filter(({ total }) => total !== 0n)
    .toSorted((a, b) => compare(b.total, a.total) || compare(a.name, b.name));
  // A single further series is shown by its name instead of as a rest of one.
  if (all.length <= MAX_SERIES + 1 && sum(notRead) === 0n) return all;
  const others = all.slice(MAX_SERIES);
  const values = notRead.map((value, bucket) => value + sum(others.map((series) => series.values[bucket] ?? 0n)));
  const name = byId.has(undefined) ? "Rest" : `Rest (${others.length})`;
  return [...all.slice(0, MAX_SERIES), { name, values, total: sum(values) }];
}

/** Sum of amounts. */
export function sum(values: readonly bigint[]): bigint {
  return values.reduce((total, value) => total + value, 0n);
}

function compare<T extends bigint | string>(a: T, b: T): number {
  return a < b ? -1 : Number(a > b);
}
