import type { Series } from "./series.ts";
import styles from "./time-bar-chart.module.css";

interface ChartLegendProps {
  readonly series: readonly Series[];
  /** Index of the series that is pointed at. */
  readonly active: number | undefined;
  readonly format: (value: bigint) => string;
}

/** Names, colours and totals of the series of a chart. */
export function ChartLegend({ series, active, format }: ChartLegendProps) {
  return (
    <ul className={styles.legend}>
      {series.map(({ id, name, total }, index) => (
        <li key={id ?? " rest"} data-active={index === active}>
          <span className={styles.swatch} data-series={index} aria-hidden="true" />
          <bdi className={styles.name} title={name}>
            {name}
          </bdi>
          <span className={styles.total}>{format(total)}</span>
        </li>
      ))}
    </ul>
  );
}
