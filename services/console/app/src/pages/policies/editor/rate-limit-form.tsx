import { Field } from "../../../components/field.tsx";
import { faultAt } from "./draft-faults.ts";
import { type RateLimitDraft, WINDOW_UNITS } from "./draft.ts";
import type { FormProps } from "./form.ts";
import styles from "./forms.module.css";

const MAXIMA = [
  ["maxRequests", "max_requests", "Requests in the window"],
  ["maxTokens", "max_tokens", "Tokens in the window"],
  ["maxConcurrent", "max_concurrent", "Requests at the same time"],
] as const;

/** Fields of a rate limit. */
export function RateLimitForm({ draft, path, faults, onEdit }: FormProps<RateLimitDraft>) {
  const window = `${path}.window_secs`;
  return (
    <div className={styles.form}>
      <div className={styles.row}>
        <Field
          label="Length of the window"
          hint="Requests and tokens count in a window that slides with the time."
          error={faultAt(faults, window)}
        >
          <input
            inputMode="numeric"
            maxLength={20}
            value={draft.windowCount}
            onChange={({ target }) => onEdit(window, { windowCount: target.value })}
          />
        </Field>
        <Field label="Unit">
          <select
            value={draft.windowUnit}
            onChange={({ target }) => onEdit(window, { windowUnit: target.value as RateLimitDraft["windowUnit"] })}
          >
            {Object.keys(WINDOW_UNITS).map((unit) => (
              <option key={unit} value={unit}>
                {unit}s
              </option>
            ))}
          </select>
        </Field>
      </div>
      <div className={styles.row}>
        {MAXIMA.map(([field, name, label]) => (
          <Field key={field} label={label} hint="Empty: no maximum" error={faultAt(faults, `${path}.${name}`)}>
            <input
              inputMode="numeric"
              maxLength={30}
              value={draft[field]}
              onChange={({ target }) => onEdit(`${path}.${name}`, { [field]: target.value })}
            />
          </Field>
        ))}
      </div>
    </div>
  );
}
