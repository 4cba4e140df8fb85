import { useId } from "react";
import styles from "./forms.module.css";

interface NameListProps {
  readonly label: string;
  readonly hint: string;
  /** All names that can be chosen. */
  readonly names: readonly string[];
  /** Names that are allowed; undefined: all. */
  readonly allowed: readonly string[] | undefined;
  readonly error: string | undefined;
  readonly onChange: (allowed: readonly string[] | undefined) => void;
}

/** Choice of the allowed names: all, or only the ticked ones. */
export function NameList({ label, hint, names, allowed, error, onChange }: NameListProps) {
  const id = useId();
  const toggle = (name: string, isAllowed: boolean): void =>
    onChange(names.filter((known) => (known === name ? isAllowed : allowed?.includes(known))));
  return (
    <fieldset className={`${styles.group} ${styles.plain}`} aria-describedby={`${id}-hint`}>
      <legend>{label}</legend>
      <label className={styles.check}>
        <input
          type="checkbox"
          checked={allowed !== undefined}
          onChange={({ target }) => onChange(target.checked ? [] : undefined)}
        />
        Allow only some
      </label>
      {allowed !== undefined && (
        <div className={styles.checks}>
          {names.map((name) => (
            <label key={name}>
              <input
                type="checkbox"
                checked={allowed.includes(name)}
                onChange={({ target }) => toggle(name, target.checked)}
              />
              <code>{name}</code>
            </label>
          ))}
        </div>
      )}
      <small id={`${id}-hint`} className={styles.hint}>
        {allowed?.length === 0 ? "None is ticked: all are refused." : hint}
      </small>
      {error !== undefined && (
        <small className={styles.error} role="alert">
          {error}
        </small>
      )}
    </fieldset>
  );
}
