import { isRangeName, type RangeFilters, type RANGES, type TimeRange, timeRangeOf } from "../format/time-range.ts";
import { useNow } from "../format/use-now.ts";
import { useTimeZone } from "../format/use-time-zone.ts";
import { CustomRange } from "./custom-range.tsx";
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

const CUSTOM = "custom";

/** Choice of a time range, by its length or by two times, and of the time zone in which the app shows times. */
export function RangePicker({ filters, onChange, byDefault = "7d" }: RangePickerProps) {
  const now = useNow();
  const [timeZone] = useTimeZone();
  const isCustom = Date.parse(filters.from) < Date.parse(filters.to);
  const chosen = isRangeName(filters.range) ? filters.range : byDefault;
  const range = timeRangeOf(filters, now, byDefault);
  const changeTimes = ({ from, to }: TimeRange): void =>
    onChange({ range: "", from: from.toISOString(), to: to.toISOString() });
  return (
    <div className={styles.picker}>
      <Field label="Range">
        <select
          value={isCustom ? CUSTOM : chosen}
          onChange={({ target: { value } }) =>
            value === CUSTOM ? changeTimes(range) : onChange({ range: value, from: "", to: "" })
          }
        >
          {Object.entries(TITLES).map(([name, title]) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
          <option value={CUSTOM}>From … to …</option>
        </select>
      </Field>
      {isCustom && <CustomRange key={timeZone} range={range} timeZone={timeZone} onChange={changeTimes} />}
      <TimeZoneSelect />
    </div>
  );
}
