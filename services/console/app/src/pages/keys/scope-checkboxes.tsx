import { FieldGroup } from "../../components/field-group.tsx";
import styles from "./key-form.module.css";
import type { ScopeOption } from "./scope-choice.ts";

interface ScopeCheckboxesProps {
  readonly options: readonly ScopeOption[];
  readonly chosen: readonly string[];
  readonly onChange: (chosen: readonly string[]) => void;
  readonly hint: string;
  readonly error: string | undefined;
}

/** Choice of scopes. A scope that cannot be chosen shows the reason. */
export function ScopeCheckboxes({ options, chosen, onChange, hint, error }: ScopeCheckboxesProps) {
  return (
    <FieldGroup label="Scopes" hint={hint} error={error}>
      <div className={styles.scopes}>
        {options.map(({ scope, text, isImplied, isHeld }) => (
          <label key={scope} className={styles.scope} data-disabled={isImplied || !isHeld}>
            <input
              type="checkbox"
              aria-invalid={error !== undefined}
              checked={isImplied || chosen.includes(scope)}
              disabled={isImplied || !isHeld}
              onChange={({ target }) =>
                onChange(target.checked ? [...chosen, scope] : chosen.filter((other) => other !== scope))
              }
            />
            <span>
              {scope} <small>{isHeld ? text : "your session does not hold it"}</small>
            </span>
          </label>
        ))}
      </div>
    </FieldGroup>
  );
}
