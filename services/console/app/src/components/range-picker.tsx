import { isRangeName, type RangeFilters, type RANGES } from "../format/time-range.ts";
import { Field } from "./field.tsx";
import { TimeZoneSelect } from "./time-zone-select.tsx";
import styles from "./range-picker.module.css";

interface RangePickerProps {
  readonly filters: RangeFilters;
  readonly onChange: (change: Partial<Record<keyof RangeFilters, string>>) => void;
  readonly byDefault?: keyof typeof RANGES;
}

const TITLES: Readonly<Record<keyof typeof RANGES, string>> = {
  "1h": "Last hour",
  "24h": "Last 24 hours",
  "7d": "Last 7 days",
  "30d": "Last 30 days",
  "90d": "Last 90 days",
};

/** Choice of a range of time and of the time zone in which the app shows times. */
export function RangePicker({ filters, onChange, byDefault = "7d" }: RangePickerProps) {
  const isCustom = filters.from !== "" && filters.to !== "";
  const chosen = isRangeName(filters.range) ? filters.range : byDefault;
  return (
    <div className={styles.picker}>
      <Field label="Range">
        <select
          value={isCustom ? "custom" : chosen}
          onChange={({ target }) => onChange({ range: target.value, from: "", to: "" })}
        >
          {isCustom && <option value="custom">{`${filters.from} – ${filters.to}`}</option>}
          {Object.entries(TITLES).map(([name, title]) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
        </select>
      </Field>
      <TimeZoneSelect />
    </div>
  );
}
