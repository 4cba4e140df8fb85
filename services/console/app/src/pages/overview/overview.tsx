import { useQuery } from "@connectrpc/connect-query";
import { UsageDimension, type UsageGroup, UsageService } from "@routeplane/contracts/usage";
import { type Column, DataTable } from "../../components/data-table.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { KeyLink } from "../../components/key-link.tsx";
import { Money } from "../../components/money.tsx";
import { NeedsScope } from "../../components/needs-scope.tsx";
import { Page } from "../../components/page.tsx";
import { RangePicker } from "../../components/range-picker.tsx";
import { Section } from "../../components/section.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import { formatShortCount } from "../../format/money.ts";
import { type TimeRange, timeRangeOf, toProtoRange } from "../../format/time-range.ts";
import { useNow } from "../../format/use-now.ts";
import { useFilters } from "../../format/use-filters.ts";

/** Overview: spend, requests and tokens over time, and where budgets stand. */
export default function Overview() {
  const [filters, change] = useFilters(["range", "from", "to"]);
  const range = timeRangeOf(filters, useNow());
  return (
    <Page title="Overview" actions={<RangePicker filters={filters} onChange={change} />}>
      <NeedsScope scope="usage:read">
        <Section title="Spend by key">
          <SpendByKey range={range} />
        </Section>
      </NeedsScope>
    </Page>
  );
}

const COLUMNS: readonly Column<UsageGroup>[] = [
  { title: "Key", cell: ({ keyId }) => <KeyLink id={keyId} /> },
  { title: "Requests", cell: ({ requestCount }) => formatShortCount(Number(requestCount)), isNumber: true },
  { title: "Spend", cell: ({ spendMicroUsd }) => <Money microUsd={spendMicroUsd} />, isNumber: true },
];

function SpendByKey({ range }: { readonly range: TimeRange }) {
  const input = { ...toProtoRange(range), groupBy: [UsageDimension.KEY] };
  const { data, error, refetch } = useQuery(UsageService.method.getUsage, input);
  if (error !== null) return <ErrorNotice error={error} what="Usage cannot be read." onRetry={refetch} />;
  if (data === undefined) return <Skeleton />;
  if (data.groups.length === 0) return <EmptyState title="No requests in this range." />;
  return <DataTable caption="Spend by key" columns={COLUMNS} rows={data.groups} keyOf={({ keyId }) => keyId} />;
}
