import { NeedsScope } from "../../components/needs-scope.tsx";
import { Page } from "../../components/page.tsx";
import { RangePicker } from "../../components/range-picker.tsx";
import { Section } from "../../components/section.tsx";
import { timeRangeOf } from "../../format/time-range.ts";
import { useNow } from "../../format/use-now.ts";
import { useFilters } from "../../format/use-filters.ts";
import { Budgets } from "./budgets.tsx";
import { dimensionNameOf } from "./dimensions.ts";
import { measureNameOf } from "../../format/measures.ts";
import { Latencies } from "./latencies.tsx";
import { TopLists } from "./top-lists.tsx";
import { Usage } from "./usage.tsx";

/** Overview page: spend, requests, tokens and refusals over time, the largest keys and models, and the use of budgets. */
export default function Overview() {
  const [filters, change] = useFilters(["range", "from", "to", "show", "by"]);
  const range = timeRangeOf(filters, useNow());
  const measure = measureNameOf(filters.show);
  const by = dimensionNameOf(filters.by);
  return (
    <Page title="Overview" actions={<RangePicker filters={filters} onChange={change} />}>
      <NeedsScope scope="usage:read">
        <Usage range={range} measure={measure} by={by} onChange={change} />
        <TopLists range={range} measure={measure} by={by} />
        <Latencies range={range} />
      </NeedsScope>
      <Section title="Budgets">
        <NeedsScope scope="policy:read">
          <Budgets />
        </NeedsScope>
      </Section>
    </Page>
  );
}
