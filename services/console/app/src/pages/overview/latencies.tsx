import type { Latency } from "@routeplane/contracts/usage";
import { Clipped } from "../../components/clipped.tsx";
import { type Column, DataTable } from "../../components/data-table.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Section } from "../../components/section.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import { formatCount } from "../../format/money.ts";
import { formatDuration } from "../../format/time.ts";
import type { TimeRange } from "../../format/time-range.ts";
import { type LatencyRow, latencyRows } from "./latency-rows.ts";
import styles from "./top-lists.module.css";
import { useUsageByModel } from "./use-usage.ts";

/** Latencies by model: the times that 50 %, 95 % and 99 % of the requests do not exceed. */
export function Latencies({ range }: { readonly range: TimeRange }) {
  const { data, error, refetch } = useUsageByModel(range);
  const rows = data === undefined ? [] : latencyRows(data);
  return (
    <Section title="Latency by model">
      {error !== null && <ErrorNotice error={error} what="Latencies cannot be read." onRetry={refetch} />}
      {error === null && data === undefined && <Skeleton />}
      {data !== undefined && rows.length === 0 && <EmptyState title="No latencies are recorded in this range." />}
      {rows.length > 0 && (
        <div className={styles.names}>
          <DataTable
            caption="Table: latency by model"
            columns={COLUMNS}
            rows={rows}
            keyOf={({ model }) => (model === undefined ? "all" : `model ${model}`)}
          />
        </div>
      )}
    </Section>
  );
}

function quantile(
  title: string,
  latencyOf: (row: LatencyRow) => Latency | undefined,
  field: "p50Ms" | "p95Ms" | "p99Ms",
): Column<LatencyRow> {
  return {
    title,
    isNumber: true,
    cell(row: LatencyRow) {
      const value = latencyOf(row)?.[field];
      return value === undefined ? "–" : formatDuration(Number(value));
    },
  };
}

const totalOf = ({ total }: LatencyRow): Latency => total;
const firstTokenOf = ({ firstToken }: LatencyRow): Latency | undefined => firstToken;

const COLUMNS: readonly Column<LatencyRow>[] = [
  { title: "Model", cell: ({ model }) => (model === undefined ? "All models" : <Clipped text={model} />) },
  quantile("Half within", totalOf, "p50Ms"),
  quantile("95 % within", totalOf, "p95Ms"),
  quantile("99 % within", totalOf, "p99Ms"),
  { ...quantile("First output: half within", firstTokenOf, "p50Ms"), isOptional: true },
  { ...quantile("First output: 95 % within", firstTokenOf, "p95Ms"), isOptional: true },
  {
    title: "Requests",
    isNumber: true,
    isOptional: true,
    cell: ({ total }) => formatCount(total.requestCount),
  },
];
