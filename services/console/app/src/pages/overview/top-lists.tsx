import type { GetUsageResponse } from "@routeplane/contracts/usage";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Section } from "../../components/section.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import type { TimeRange } from "../../format/time-range.ts";
import { DIMENSIONS } from "./dimensions.ts";
import { type MeasureName, MEASURES } from "../../format/measures.ts";
import { topGroups } from "./top-groups.ts";
import styles from "./top-lists.module.css";
import { type TopDimension, TopTable } from "./top-table.tsx";
import { useUsageByKeyAndModel } from "./use-usage.ts";

interface TopListsProps {
  readonly range: TimeRange;
  /** Measure by which the lists are sorted. */
  readonly measure: MeasureName;
}

/** Keys and models with the largest amounts, side by side where there is room. */
export function TopLists({ range, measure }: TopListsProps) {
  const { data, error, refetch } = useUsageByKeyAndModel(range);
  if (error !== null) return <ErrorNotice error={error} what="Keys and models cannot be read." onRetry={refetch} />;
  return (
    <div className={styles.lists}>
      <TopList by="key" {...{ data, range, measure }} />
      <TopList by="model" {...{ data, range, measure }} />
    </div>
  );
}

function TopList({
  by,
  data,
  range,
  measure,
}: TopListsProps & { readonly by: TopDimension; readonly data: GetUsageResponse | undefined }) {
  const { title } = MEASURES[measure];
  const caption = `Top ${by}s by ${title.toLowerCase()}`;
  return (
    <Section title={caption}>
      {data === undefined && <Skeleton />}
      {data?.groups.length === 0 && <EmptyState title="No requests in this range." />}
      {data !== undefined && data.groups.length > 0 && (
        <TopTable
          // A region of the page has the title's name already.
          caption={`Table: ${caption}`}
          by={by}
          rows={topGroups(data.groups, DIMENSIONS[by].idOf, MEASURES[measure])}
          range={range}
        />
      )}
    </Section>
  );
}
