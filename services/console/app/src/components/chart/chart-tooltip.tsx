import type { Column } from "./chart-layout.ts";
import { type Series, sum } from "./series.ts";
import type { TimeBucket } from "./time-buckets.ts";
import styles from "./time-bar-chart.module.css";

interface ChartTooltipProps {
  readonly bucket: TimeBucket | undefined;
  readonly column: Column | undefined;
  readonly series: readonly Series[];
  /** Index of the bucket. */
  readonly index: number;
  /** Index of the series that is pointed at. */
  readonly active: number | undefined;
  /** Width of the chart. Pixels. */
  readonly width: number;
  readonly format: (value: bigint) => string;
}

/** Width below which a chart has no room beside a bar, and shows the numbers above the bars. Pixels. */
const NARROW = 480;

/** Exact numbers of a bar, beside it or above the chart. Screen readers get the same from the label of the bar. */
export function ChartTooltip({ bucket, column, series, index, active, width, format }: ChartTooltipProps) {
  if (bucket === undefined || column === undefined) return null;
  const isLeft = column.left + column.width / 2 < width / 2;
  const place = isLeft ? { left: column.left + column.width + 8 } : { right: width - column.left + 8 };
  const isNarrow = width < NARROW;
  const parts = [...series.entries()].filter(([, { values }]) => values[index] !== 0n);
  return (
    <div className={styles.tooltip} data-narrow={isNarrow} style={isNarrow ? {} : place} aria-hidden="true">
      <strong>{bucket.label}</strong>
      <ul>
        {parts.toReversed().map(([place, { id, name, values }]) => (
          <li key={id ?? " rest"} data-active={place === active}>
            <span className={styles.swatch} data-series={place} />
            <bdi className={styles.name}>{name}</bdi>
            <span className={styles.total}>{format(values[index] ?? 0n)}</span>
          </li>
        ))}
        {parts.length !== 1 && (
          <li className={styles.sum}>
            <span className={styles.name}>Total</span>
            <span className={styles.total}>{format(sum(parts.map(([, { values }]) => values[index] ?? 0n)))}</span>
          </li>
        )}
      </ul>
    </div>
  );
}
