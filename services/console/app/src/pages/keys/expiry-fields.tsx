import { FieldGroup } from "../../components/field-group.tsx";
import { useTimeZone } from "../../format/use-time-zone.ts";
import { type ExpiryChoice, SPAN_TITLES } from "./expiry.ts";
import styles from "./key-form.module.css";

interface ExpiryFieldsProps {
  readonly value: ExpiryChoice;
  readonly onChange: (value: ExpiryChoice) => void;
  /** Label of the choice without an expiry. */
  readonly none: string;
  readonly hint: string;
  readonly error: string | undefined;
}

/** Choice of an expiry: none, a span from now, or a time in the chosen time zone. */
export function ExpiryFields({ value, onChange, none, hint, error }: ExpiryFieldsProps) {
  const [timeZone] = useTimeZone();
  return (
    <FieldGroup label="Expiry" hint={hint} error={error}>
      <div className={styles.row}>
        <select
          aria-label="Expiry"
          aria-invalid={error !== undefined && value.kind !== "at"}
          value={value.kind}
          onChange={({ target }) => onChange({ ...value, kind: target.value })}
        >
          <option value="">{none}</option>
          {Object.entries(SPAN_TITLES).map(([name, title]) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
          <option value="at">At a time…</option>
        </select>
        {value.kind === "at" && (
          <>
            <input
              type="datetime-local"
              aria-label={`Time in ${timeZone}`}
              aria-invalid={error !== undefined}
              value={value.time}
              onChange={({ target }) => onChange({ ...value, time: target.value })}
            />
            <small>{timeZone}</small>
          </>
        )}
      </div>
    </FieldGroup>
  );
}
