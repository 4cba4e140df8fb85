import type { Receipt } from "@routeplane/contracts/usage";
import { type Column, DataTable } from "../../components/data-table.tsx";
import { formatDuration } from "../../format/time.ts";
import styles from "./time-bar.module.css";
import { type Stretch, timelineOf } from "./timeline.ts";

/** Division of the time of a request: a bar, and the same numbers in a table. */
export function TimeBar({ receipt }: { readonly receipt: Receipt }) {
  const timeline = timelineOf(receipt);
  if (timeline === undefined) return <p>Times are known once the request has ended.</p>;
  const { totalMs, stretches, firstTokenMs } = timeline;
  const percent = (ms: number): string => `${totalMs === 0 ? 0 : (100 * ms) / totalMs}%`;
  return (
    <>
      {stretches.length > 0 && (
        <div className={styles.bar} aria-hidden="true">
          {stretches.map((stretch) => (
            <span
              key={stretch.startMs + stretch.by}
              className={styles[stretch.by]}
              title={`${stretch.name}: ${durationOf(stretch)}`}
              style={{ left: percent(stretch.startMs), width: percent(stretch.endMs - stretch.startMs) }}
            />
          ))}
          {firstTokenMs !== undefined && (
            <span
              className={styles.first}
              title={`First token after ${formatDuration(firstTokenMs)}`}
              style={{ left: percent(Math.min(firstTokenMs, totalMs)) }}
            />
          )}
        </div>
      )}
      <DataTable
        caption="Where the time went"
        columns={COLUMNS}
        rows={[
          ...stretches,
          { name: "In all", by: "gateway", startMs: 0, endMs: totalMs, outcome: firstTokenText(firstTokenMs) },
        ]}
        keyOf={({ name, startMs, endMs }) => `${name} ${startMs} ${endMs}`}
      />
    </>
  );
}

const COLUMNS: readonly Column<Stretch>[] = [
  {
    title: "Part",
    cell: ({ name, by }) => (
      <>
        {name !== "In all" && <span className={`${styles.mark} ${styles[by]}`} aria-hidden="true" />}
        <bdi>{name}</bdi>
      </>
    ),
  },
  { title: "Outcome", cell: ({ outcome }) => outcome || "–" },
  { title: "From", cell: ({ startMs }) => formatDuration(startMs), isNumber: true, isOptional: true },
  { title: "Duration", cell: durationOf, isNumber: true },
];

function durationOf({ startMs, endMs }: Stretch): string {
  return formatDuration(endMs - startMs);
}

function firstTokenText(firstTokenMs: number | undefined): string {
  return firstTokenMs === undefined ? "" : `first token after ${formatDuration(firstTokenMs)}`;
}
