import type { GetUsageResponse } from "@routeplane/contracts/usage";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Section } from "../../components/section.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import type { TimeRange } from "../../format/time-range.ts";
import { useTimeZone } from "../../format/use-time-zone.ts";
import { type DimensionName, DIMENSIONS } from "./dimensions.ts";
import { type MeasureName, MEASURES } from "../../format/measures.ts";
import { topGroups } from "./top-groups.ts";
import styles from "./top-lists.module.css";
import { type TopDimension, TopTable } from "./top-table.tsx";
import { useUsageByKey, useUsageByModel } from "./use-usage.ts";

interface TopListsProps {
  readonly range: TimeRange;
  /** Measure by which the lists are sorted. */
  readonly measure: MeasureName;
  /** Dimension of the chart. */
  readonly by: DimensionName;
}

/** Lists of the keys and models with the largest amounts, side by side if there is room. */
export function TopLists({ range, measure, by }: TopListsProps) {
  const [timeZone] = useTimeZone();
  // As in the chart: data that was read with another grouping is not shown while new data is read.
  return (
    <div className={styles.lists}>
      <TopKeys key={by === "key" ? "over time" : "alone"} {...{ range, measure, by, timeZone }} />
      <TopModels {...{ range, measure }} />
    </div>
  );
}

function TopKeys({ range, measure, by, timeZone }: TopListsProps & { readonly timeZone: string }) {
  return <TopList by="key" usage={useUsageByKey({ range, by, measure, timeZone })} {...{ range, measure }} />;
}

function TopModels({ range, measure }: Omit<TopListsProps, "by">) {
  return <TopList by="model" usage={useUsageByModel(range)} {...{ range, measure }} />;
}

interface TopListProps {
  readonly by: TopDimension;
  readonly range: TimeRange;
  readonly measure: MeasureName;
  readonly usage: {
    readonly data: GetUsageResponse | undefined;
    readonly isPlaceholderData: boolean;
    readonly error: Error | null;
    readonly refetch: () => unknown;
  };
}

function TopList({ by, range, measure, usage: { data, isPlaceholderData, error, refetch } }: TopListProps) {
  const caption = `Top ${by}s by ${MEASURES[measure].title.toLowerCase()}`;
  return (
    <Section title={caption} isBusy={isPlaceholderData}>
      {error !== null && <ErrorNotice error={error} what="Usage cannot be read." onRetry={refetch} />}
      {error === null && data === undefined && <Skeleton />}
      {data?.groups.length === 0 && <EmptyState title="No requests in this range." />}
      {data !== undefined && data.groups.length > 0 && (
        <TopTable
          // A region of the page already has the name of the title.
          caption={`Table: ${caption}`}
          by={by}
          rows={topGroups(data.groups, DIMENSIONS[by].idOf, MEASURES[measure])}
          range={range}
        />
      )}
    </Section>
  );
}
