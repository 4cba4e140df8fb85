import { useMemo } from "react";
import { Chips } from "../../components/chips.tsx";
import { Field } from "../../components/field.tsx";
import { FilterControls } from "../../components/filter-controls.tsx";
import { RangePicker } from "../../components/range-picker.tsx";
import { type Suggestion, TextFilter } from "../../components/text-filter.tsx";
import { useRangeChip } from "../../components/use-range-chip.ts";
import { useKeys } from "../../rpc/use-key-names.ts";
import { usePoliciesById } from "../../rpc/use-policies.ts";
import { ACTIONS, type AuditFilters, DEFAULT_RANGE, LOGS } from "./audit-filter.ts";

/** Maximum length of an id that the services accept, in characters. */
const MAX_ID_LENGTH = 100;

interface AuditFilterBarProps {
  readonly filters: AuditFilters;
  readonly onChange: (change: Partial<AuditFilters>) => void;
  readonly onClear: () => void;
}

/** Filters of the audit log: controls, and a chip for each that is set. */
export function AuditFilterBar({ filters, onChange, onClear }: AuditFilterBarProps) {
  const { actor, action, target } = filters;
  const keys = useKeys();
  const policies = usePoliciesById();
  const [actors, targets] = useMemo(() => {
    const toSuggestion = ({ id, name }: { readonly id: string; readonly name: string }): Suggestion => ({
      value: id,
      hint: name,
    });
    const actors = Array.from(keys.values(), toSuggestion);
    return [actors, [...actors, ...Array.from(policies.values(), toSuggestion)]];
  }, [keys, policies]);
  const nameOf = (id: string): string => keys.get(id)?.name ?? policies.get(id)?.name ?? id;
  const rangeChip = useRangeChip(filters, onChange);
  const chips = [
    { label: "Actor", value: actor && nameOf(actor), onRemove: () => onChange({ actor: "" }) },
    { label: "Action", value: action, onRemove: () => onChange({ action: "" }) },
    { label: "Target", value: target && nameOf(target), onRemove: () => onChange({ target: "" }) },
    rangeChip,
  ];
  const isKnown = LOGS.some((log) => ACTIONS[log].includes(action));
  return (
    <FilterControls label="Changes" chips={<Chips chips={chips} onClear={onClear} />}>
      <Field label="Actor">
        <TextFilter
          value={actor}
          options={actors}
          maxLength={MAX_ID_LENGTH}
          onChange={(text) => onChange({ actor: text })}
        />
      </Field>
      <Field label="Action">
        <select value={action} onChange={(event) => onChange({ action: event.target.value })}>
          <option value="">any</option>
          {action !== "" && !isKnown && <option>{action}</option>}
          {LOGS.flatMap((log) => ACTIONS[log]).map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </Field>
      <Field label="Target">
        <TextFilter
          value={target}
          options={targets}
          maxLength={MAX_ID_LENGTH}
          onChange={(text) => onChange({ target: text })}
        />
      </Field>
      <RangePicker filters={filters} onChange={onChange} byDefault={DEFAULT_RANGE} />
    </FilterControls>
  );
}
