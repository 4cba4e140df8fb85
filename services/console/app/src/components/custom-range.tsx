import { useState } from "react";
import { fromLocalTime, toLocalTime } from "../format/local-time.ts";
import type { TimeRange } from "../format/time-range.ts";
import { Field } from "./field.tsx";

interface CustomRangeProps {
  readonly range: TimeRange;
  readonly timeZone: string;
  /** Called with a range whose end is after its start. */
  readonly onChange: (range: TimeRange) => void;
}

/** Fields for two times in the time zone. The range changes once the start is before the end. */
export function CustomRange({ range, timeZone, onChange }: CustomRangeProps) {
  const [from, setFrom] = useState(() => toLocalTime(range.from, timeZone));
  const [to, setTo] = useState(() => toLocalTime(range.to, timeZone));
  const change = (nextFrom: string, nextTo: string): void => {
    setFrom(nextFrom);
    setTo(nextTo);
    const [start, end] = [fromLocalTime(nextFrom, timeZone), fromLocalTime(nextTo, timeZone)];
    if (start !== undefined && end !== undefined && start < end) onChange({ from: start, to: end });
  };
  // Texts in this format sort by time.
  const error = from !== "" && to !== "" && from >= to ? "The end must be after the start." : undefined;
  return (
    <>
      <Field label="From">
        <input
          type="datetime-local"
          value={from}
          max="9999-12-31T23:59"
          onChange={({ target }) => change(target.value, to)}
        />
      </Field>
      <Field label="To" error={error}>
        <input
          type="datetime-local"
          value={to}
          max="9999-12-31T23:59"
          onChange={({ target }) => change(from, target.value)}
        />
      </Field>
    </>
  );
}
