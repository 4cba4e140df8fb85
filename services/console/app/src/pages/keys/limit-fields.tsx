import { isCalendarWindow } from "@routeplane/policy-spec";
import { Field } from "../../components/field.tsx";
import { FieldGroup } from "../../components/field-group.tsx";
import { TimeZoneField } from "../../components/time-zone-field.tsx";
import type { FieldErrors } from "../../rpc/field-errors.ts";
import { errorAt } from "../../rpc/form-errors.ts";
import styles from "./key-form.module.css";
import { MINT_FIELDS, type MintForm, RATE_WINDOWS, WINDOWS } from "./mint-form.ts";

interface LimitFieldsProps {
  readonly form: MintForm;
  readonly onChange: (change: Partial<MintForm>) => void;
  readonly errors: FieldErrors;
}

/** Fields for the limits of a new key. They apply from its first request on, to the keys below it as well. */
export function LimitFields({ form, onChange, errors }: LimitFieldsProps) {
  return (
    <>
      <FieldGroup
        label="Budget"
        hint="In USD, for the key and all keys below it. Empty: no own budget."
        error={errorAt(errors, MINT_FIELDS.budget)}
      >
        <div className={styles.row}>
          <input
            aria-label="Budget in USD"
            aria-invalid={errorAt(errors, MINT_FIELDS.budget) !== undefined}
            inputMode="decimal"
            placeholder="5.00"
            maxLength={20}
            value={form.limitUsd}
            onChange={({ target }) => onChange({ limitUsd: target.value })}
          />
          <select
            aria-label="Window of the budget"
            value={form.window}
            onChange={({ target }) => onChange({ window: target.value as MintForm["window"] })}
          >
            {Object.entries(WINDOWS).map(([name, { title }]) => (
              <option key={name} value={name}>
                {title}
              </option>
            ))}
          </select>
          {isCalendarWindow(form.window) && (
            <TimeZoneField
              aria-label="Time zone of the budget"
              timeZone={form.windowTimeZone}
              onPick={(windowTimeZone) => onChange({ windowTimeZone })}
            />
          )}
        </div>
      </FieldGroup>
      <FieldGroup
        label="Rate limit"
        hint="For the key and all keys below it. Empty: no own rate limit."
        error={errorAt(errors, MINT_FIELDS.rate)}
      >
        <div className={styles.row}>
          <input
            aria-label="Maximum number of requests"
            aria-invalid={errorAt(errors, MINT_FIELDS.rate) !== undefined}
            inputMode="numeric"
            placeholder="60"
            maxLength={20}
            value={form.maxRequests}
            onChange={({ target }) => onChange({ maxRequests: target.value })}
          />
          <select
            aria-label="Window of the rate limit"
            value={form.rateWindow}
            onChange={({ target }) => onChange({ rateWindow: Number(target.value) as MintForm["rateWindow"] })}
          >
            {Object.entries(RATE_WINDOWS).map(([seconds, title]) => (
              <option key={seconds} value={seconds}>
                {title}
              </option>
            ))}
          </select>
        </div>
      </FieldGroup>
      <Field
        label="Models"
        hint={
          <>
            Names, separated by commas; <code>*</code> stands for any characters. Empty: all that the keys above may
            call.
          </>
        }
        error={errorAt(errors, MINT_FIELDS.models)}
      >
        <input
          placeholder="gpt-*, echo"
          autoComplete="off"
          spellCheck={false}
          value={form.models}
          onChange={({ target }) => onChange({ models: target.value })}
        />
      </Field>
    </>
  );
}
