import { useQuery } from "@connectrpc/connect-query";
import { UsageDimension, type UsageGroup, UsageService } from "@routeplane/contracts/usage";
import { useMemo, useState } from "react";
import { Chips } from "../../components/chips.tsx";
import { Field } from "../../components/field.tsx";
import { FilterControls } from "../../components/filter-controls.tsx";
import { RangePicker } from "../../components/range-picker.tsx";
import { type Suggestion, TextFilter } from "../../components/text-filter.tsx";
import { useRangeChip } from "../../components/use-range-chip.ts";
import { formatShortCount } from "../../format/money.ts";
import { STATUS_NAMES, statusOf } from "../../format/request-status.ts";
import { timeRangeOf, toProtoRange } from "../../format/time-range.ts";
import { useKeys } from "../../rpc/use-key-names.ts";
import { MAX_FILTER_LENGTH, type RequestFilters } from "./request-filter.ts";
import { nodeNow } from "../../format/node-clock.ts";

interface FilterBarProps {
  readonly filters: RequestFilters;
  readonly onChange: (change: Partial<RequestFilters>) => void;
  readonly onClear: () => void;
}

/** Filters of the request log: controls, and a chip for each that is set. */
export function FilterBar({ filters, onChange, onClear }: FilterBarProps) {
  const keys = useKeys();
  const { models, providers } = useNamesInUse(filters);
  const byName = useMemo(() => [...keys.values()].toSorted((one, other) => one.name.localeCompare(other.name)), [keys]);
  const rangeChip = useRangeChip(filters, onChange);
  const { key, model, provider, status } = filters;
  const chips = [
    { label: "Key", value: keys.get(key)?.name ?? key, onRemove: () => onChange({ key: "" }) },
    { label: "Model", value: model, onRemove: () => onChange({ model: "" }) },
    { label: "Provider", value: provider, onRemove: () => onChange({ provider: "" }) },
    { label: "Status", value: statusOf(status) === undefined ? "" : status, onRemove: () => onChange({ status: "" }) },
    rangeChip,
  ];
  return (
    <FilterControls label="Requests" chips={<Chips chips={chips} onClear={onClear} />}>
      <Field label="Key">
        <select value={filters.key} onChange={({ target }) => onChange({ key: target.value })}>
          <option value="">any</option>
          {filters.key !== "" && !keys.has(filters.key) && <option value={filters.key}>{filters.key}</option>}
          {byName.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      </Field>
      <Field label="Model">
        <TextFilter
          value={filters.model}
          options={models}
          maxLength={MAX_FILTER_LENGTH}
          onChange={(model) => onChange({ model })}
        />
      </Field>
      <Field label="Provider">
        <TextFilter
          value={filters.provider}
          options={providers}
          maxLength={MAX_FILTER_LENGTH}
          onChange={(provider) => onChange({ provider })}
        />
      </Field>
      <Field label="Status">
        <select value={filters.status} onChange={({ target }) => onChange({ status: target.value })}>
          <option value="">any</option>
          {STATUS_NAMES.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </Field>
      <RangePicker filters={filters} onChange={onChange} />
    </FilterControls>
  );
}

/** Models and providers with requests in the range, as suggestions. They are optional: without them, names are typed. */
function useNamesInUse(filters: RequestFilters) {
  const [openedAt] = useState(() => nodeNow());
  const input = {
    ...toProtoRange(timeRangeOf(filters, openedAt)),
    groupBy: [UsageDimension.MODEL, UsageDimension.PROVIDER],
  };
  const { data } = useQuery(UsageService.method.getUsage, input, { retry: false, refetchOnWindowFocus: false });
  return useMemo(() => {
    const groups = data?.groups ?? [];
    return { models: suggestionsOf(groups, "model"), providers: suggestionsOf(groups, "provider") };
  }, [data]);
}

/** Names of groups, the one with the most requests first. */
function suggestionsOf(groups: readonly UsageGroup[], name: "model" | "provider"): readonly Suggestion[] {
  const counts = new Map<string, number>();
  for (const group of groups) {
    const count = Number(group.requestCount + group.deniedCount);
    if (group[name] !== "") counts.set(group[name], (counts.get(group[name]) ?? 0) + count);
  }
  return [...counts]
    .toSorted(([, one], [, other]) => other - one)
    .map(([value, count]) => ({ value, hint: count === 1 ? "1 request" : `${formatShortCount(count)} requests` }));
}
