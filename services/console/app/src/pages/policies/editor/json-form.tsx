import { Field } from "../../../components/field.tsx";
import styles from "./forms.module.css";
import type { Faults } from "./spec-faults.ts";

/** Maximum length of the JSON of a spec in the field, above that of any spec that a node accepts. */
const MAX_JSON_CHARS = 200_000;

interface JsonFormProps {
  readonly text: string;
  readonly faults: Faults;
  readonly onEdit: (text: string) => void;
}

/** Field for the spec as JSON, in the format of the command line. */
export function JsonForm({ text, faults, onEdit }: JsonFormProps) {
  return (
    <div className={`${styles.form} ${styles.json}`}>
      <Field
        label="Spec as JSON"
        hint="As routeplane cloud policy create --spec takes it."
        error={faults.size === 0 ? undefined : `${faults.size} ${faults.size === 1 ? "fault" : "faults"}, named below.`}
      >
        <textarea
          rows={18}
          spellCheck={false}
          maxLength={MAX_JSON_CHARS}
          value={text}
          onChange={({ target }) => onEdit(target.value)}
        />
      </Field>
      {faults.size > 0 && (
        <ul className={styles.faults}>
          {[...faults].map(([path, rule]) => (
            <li key={path}>
              <code>{path}</code> {rule}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
