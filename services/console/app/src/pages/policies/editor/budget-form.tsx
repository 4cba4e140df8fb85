import { type BudgetSpec, isCalendarWindow } from "@routeplane/policy-spec";
import { Field } from "../../../components/field.tsx";
import { TimeZoneField } from "../../../components/time-zone-field.tsx";
import { WINDOW_TEXTS } from "../spec-lines.ts";
import { faultAt } from "./draft-faults.ts";
import type { BudgetDraft } from "./draft.ts";
import type { FormProps } from "./form.ts";
import styles from "./forms.module.css";

/** Fields of a budget. */
export function BudgetForm({ draft, path, faults, onEdit }: FormProps<BudgetDraft>) {
  const [limit, window, timeZone] = [`${path}.limit_micro_usd`, `${path}.window`, `${path}.time_zone`];
  return (
    <div className={styles.row}>
      <Field label="Limit in USD" error={faultAt(faults, limit)}>
        <input
          inputMode="decimal"
          maxLength={30}
          placeholder="25.00"
          value={draft.limitUsd}
          onChange={({ target }) => onEdit(limit, { limitUsd: target.value })}
        />
      </Field>
      <Field
        label="Window"
        hint="Windows roll: an amount counts for the length of the window after it was spent. A calendar day or month starts at midnight."
        error={faultAt(faults, window)}
      >
        <select
          value={draft.window}
          onChange={({ target }) => onEdit(window, { window: target.value as BudgetSpec["window"] })}
        >
          {Object.entries(WINDOW_TEXTS).map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      </Field>
      {isCalendarWindow(draft.window) && (
        <Field label="Time zone" hint="The window starts at midnight in this zone." error={faultAt(faults, timeZone)}>
          <TimeZoneField timeZone={draft.timeZone} onPick={(name) => onEdit(timeZone, { timeZone: name })} />
        </Field>
      )}
    </div>
  );
}
