import type { GetUsageResponse } from "@routeplane/contracts/usage";
import { Link, useLocation } from "wouter";
import { UsageChart } from "../../components/chart/usage-chart.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Field } from "../../components/field.tsx";
import { Section } from "../../components/section.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import type { TimeRange } from "../../format/time-range.ts";
import { useTimeZone } from "../../format/use-time-zone.ts";
import { useKeys } from "../../rpc/use-key-names.ts";
import { type DimensionName, DIMENSIONS } from "./dimensions.ts";
import { Figures } from "./figures.tsx";
import { type MeasureName, MEASURES, type Totals } from "../../format/measures.ts";
import { requestsLink } from "./requests-link.ts";
import { useUsageBefore, useUsageOverTime } from "./use-usage.ts";

interface UsageProps {
  readonly range: TimeRange;
  readonly measure: MeasureName;
  readonly by: DimensionName;
  readonly onChange: (change: { readonly show?: string; readonly by?: string }) => void;
}

/** Totals of the range, compared with the previous range, and one of them over time. */
export function Usage(props: UsageProps) {
  const [timeZone] = useTimeZone();
  // Data that was read with another grouping is not shown: it has no values of the new dimension.
  return <UsageInZone key={`${props.by} ${timeZone}`} {...props} timeZone={timeZone} />;
}

function UsageInZone({ range, measure, by, onChange, timeZone }: UsageProps & { readonly timeZone: string }) {
  const { data, isPlaceholderData, error, refetch } = useUsageOverTime({ range, by, measure, timeZone });
  const before = useUsageBefore(range);
  const [, navigate] = useLocation();
  const keys = useKeys();
  const failure = error !== null && <ErrorNotice error={error} what="Usage cannot be read." onRetry={refetch} />;
  if (data === undefined) return failure === false ? <Skeleton lines={9} /> : failure;
  const { title } = MEASURES[measure];
  const nameOf = (id: string): string => (id === "" ? "none" : (keys.get(id)?.name ?? id));
  return (
    <>
      {failure}
      <Figures totals={data} before={before.data} chosen={measure} onChoose={(show) => onChange({ show })} />
      {before.error !== null && (
        <ErrorNotice error={before.error} what="The previous range cannot be read." onRetry={before.refetch} />
      )}
      <Section
        title={`${title} over time`}
        actions={<StackedBy by={by} onChange={(next) => onChange({ by: next })} />}
        isBusy={isPlaceholderData}
      >
        {MEASURES[measure].valueOf(data) === 0n ? (
          <Nothing title={title} totals={data} before={before.data} />
        ) : (
          <UsageChart
            range={data}
            groups={data.groups}
            {...{ measure, by, timeZone, nameOf }}
            idOf={DIMENSIONS[by].idOf}
            onSelect={(bucket, series) => navigate(requestsLink(bucket, measure, by, series?.id))}
          />
        )}
      </Section>
    </>
  );
}

function StackedBy({ by, onChange }: { readonly by: DimensionName; readonly onChange: (by: string) => void }) {
  return (
    <Field label="Stacked by">
      <select value={by} onChange={({ target }) => onChange(target.value)}>
        {Object.entries(DIMENSIONS).map(([name, dimension]) => (
          <option key={name} value={name}>
            {dimension.title}
          </option>
        ))}
      </select>
    </Field>
  );
}

/** Notice in place of a chart without bars. For a namespace without any request, it links to the quick start. */
function Nothing({
  title,
  totals,
  before,
}: {
  readonly title: string;
  readonly totals: GetUsageResponse;
  readonly before: Totals | undefined;
}) {
  if (hasRequests(totals)) return <EmptyState title={`No ${title.toLowerCase()} in this range.`} />;
  if (before === undefined || hasRequests(before)) return <EmptyState title="No requests in this range." />;
  return (
    <EmptyState title="No requests in this range or the previous one.">
      <Link href="/quick-start">Quick start</Link> shows how to send the first one.
    </EmptyState>
  );
}

function hasRequests({ requestCount, deniedCount }: Totals): boolean {
  return requestCount > 0n || deniedCount > 0n;
}
