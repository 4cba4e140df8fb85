import { useState } from "react";
import { type Column, DataTable } from "../data-table.tsx";
import { type Series, sum } from "./series.ts";
import type { TimeBucket } from "./time-buckets.ts";
import styles from "./time-bar-chart.module.css";

interface ChartTableProps {
  readonly caption: string;
  readonly buckets: readonly TimeBucket[];
  readonly series: readonly Series[];
  readonly format: (value: bigint) => string;
}

interface Row {
  readonly label: string;
  /** Amounts of the series, in their order. */
  readonly values: readonly bigint[];
}

/** Table of all numbers of a chart, to read, to copy and for screen readers. Its rows are rendered when it is opened. */
export function ChartTable({ caption, buckets, series, format }: ChartTableProps) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details className={styles.table} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>Numbers of this chart</summary>
      {isOpen && (
        <DataTable
          caption={`Numbers of ${caption}`}
          columns={toColumns(series, format)}
          rows={toRows(buckets, series)}
          keyOf={({ label }) => label}
        />
      )}
    </details>
  );
}

function toRows(buckets: readonly TimeBucket[], series: readonly Series[]): readonly Row[] {
  return [
    ...buckets.map(({ label }, bucket) => ({ label, values: series.map(({ values }) => values[bucket] ?? 0n) })),
    { label: "All", values: series.map(({ total }) => total) },
  ];
}

function toColumns(series: readonly Series[], format: (value: bigint) => string): readonly Column<Row>[] {
  return [
    { title: "Time", cell: ({ label }) => label },
    { title: "Total", cell: ({ values }) => format(sum(values)), isNumber: true },
    ...series.map(({ id = " rest", name }, index) => ({
      id: `series ${id}`,
      title: name,
      cell: ({ values }: Row) => format(values[index] ?? 0n),
      isNumber: true,
    })),
  ];
}
