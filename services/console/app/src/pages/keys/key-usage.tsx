import { useQuery } from "@connectrpc/connect-query";
import { UsageDimension, UsageService } from "@routeplane/contracts/usage";
import { Link, useLocation } from "wouter";
import { bucketUnitOf } from "../../components/chart/time-buckets.ts";
import { UsageChart } from "../../components/chart/usage-chart.tsx";
import { largestBy } from "../../components/chart/usage-series.ts";
import { type Column, DataTable } from "../../components/data-table.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Money } from "../../components/money.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import { measureNameOf } from "../../format/measures.ts";
import { formatCount } from "../../format/money.ts";
import { shortText } from "../../format/short-text.ts";
import { type RangeFilters, timeRangeOf, toProtoRange } from "../../format/time-range.ts";
import { useNow } from "../../format/use-now.ts";
import { useTimeZone } from "../../format/use-time-zone.ts";
import { requestsLink } from "../overview/requests-link.ts";
import { type ModelUsage, usageByModel } from "./usage-by-model.ts";

interface KeyUsageProps {
  readonly keyId: string;
  readonly filters: RangeFilters & { readonly show: string };
}

/** Usage of a single key, without the keys below it: over time, and by model. */
export function KeyUsage(props: KeyUsageProps) {
  const [timeZone] = useTimeZone();
  // Days that were read in another time zone are not shown.
  return <UsageInZone key={timeZone} {...props} timeZone={timeZone} />;
}

function UsageInZone({ keyId, filters, timeZone }: KeyUsageProps & { readonly timeZone: string }) {
  const [, navigate] = useLocation();
  const range = timeRangeOf(filters, useNow(), "30d");
  const measure = measureNameOf(filters.show);
  const dimension = bucketUnitOf(range) === "hour" ? UsageDimension.HOUR : UsageDimension.DAY;
  const { data, isPlaceholderData, error, refetch } = useQuery(
    UsageService.method.getUsage,
    {
      ...toProtoRange(range),
      keyId,
      groupBy: [dimension, UsageDimension.MODEL],
      ...largestBy(measure),
      timeZone: timeZone === "UTC" ? "" : timeZone,
    },
    { placeholderData: (previous) => previous },
  );
  const byModel = useQuery(
    UsageService.method.getUsage,
    { ...toProtoRange(range), keyId, groupBy: [UsageDimension.MODEL] },
    { placeholderData: (previous) => previous },
  );
  if (error !== null) return <ErrorNotice error={error} what="Usage cannot be read." onRetry={refetch} />;
  if (data === undefined) return <Skeleton lines={8} />;
  if (data.groups.length === 0) return <EmptyState title="This key made no requests in this range." />;

  const logOf = (change: Readonly<Record<string, string>>): string =>
    `/requests?${new URLSearchParams({ key: keyId, ...change }).toString()}`;
  const { range: rangeName, from, to } = filters;
  return (
    <div aria-busy={isPlaceholderData}>
      <UsageChart
        by="model"
        range={data}
        groups={data.groups}
        measure={measure}
        timeZone={timeZone}
        idOf={({ model }) => model}
        nameOf={modelName}
        onSelect={(bucket, series) =>
          navigate(`${requestsLink(bucket, measure, "model", series?.id)}&${new URLSearchParams({ key: keyId })}`)
        }
      />
      {byModel.error !== null && (
        <ErrorNotice error={byModel.error} what="Usage by model cannot be read." onRetry={byModel.refetch} />
      )}
      {byModel.error === null && byModel.data === undefined && <Skeleton />}
      {byModel.data !== undefined && (
        <DataTable
          caption="Usage by model"
          columns={columnsOf((model) => logOf({ model, range: rangeName || "30d", from, to }))}
          rows={usageByModel(byModel.data.groups)}
          keyOf={({ model }) => model}
        />
      )}
    </div>
  );
}

function modelName(model: string): string {
  return model === "" ? "(not resolved)" : model;
}

function columnsOf(logOf: (model: string) => string): readonly Column<ModelUsage>[] {
  return [
    {
      title: "Model",
      cell: ({ model }) => (
        <Link href={logOf(model)} title={model}>
          <bdi>{shortText(modelName(model))}</bdi>
        </Link>
      ),
    },
    { title: "Requests", cell: ({ requestCount }) => formatCount(requestCount), isNumber: true },
    { title: "Refused", cell: ({ deniedCount }) => formatCount(deniedCount), isNumber: true, isOptional: true },
    { title: "Input tokens", cell: ({ promptTokens }) => formatCount(promptTokens), isNumber: true, isOptional: true },
    {
      title: "Output tokens",
      cell: ({ completionTokens }) => formatCount(completionTokens),
      isNumber: true,
      isOptional: true,
    },
    { title: "Spend", cell: ({ spendMicroUsd }) => <Money microUsd={spendMicroUsd} />, isNumber: true },
  ];
}
