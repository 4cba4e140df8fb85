import { useTimeZone } from "../format/use-time-zone.ts";
import { Field } from "./field.tsx";

/** Choice of the time zone in which the app shows times and cuts days. */
export function TimeZoneSelect() {
  const [timeZone, setTimeZone] = useTimeZone();
  return (
    <Field label="Time zone">
      <select value={timeZone} onChange={({ target }) => setTimeZone(target.value)}>
        {[...new Set([timeZone, "UTC", ...Intl.supportedValuesOf("timeZone")])].map((zone) => (
          <option key={zone}>{zone}</option>
        ))}
      </select>
    </Field>
  );
}
