import styles from "./chips.module.css";

/** Filter that is set. */
export interface Chip {
  /** Name of the filter, e.g. `Key`. */
  readonly label: string;
  readonly value: string;
  readonly onRemove: () => void;
}

/** Filters that are set, each with its removal, and the removal of all where there are several. */
export function Chips({ chips, onClear }: { readonly chips: readonly Chip[]; readonly onClear: () => void }) {
  if (chips.length === 0) return null;
  return (
    <ul className={styles.chips} aria-label="Filters that are set">
      {chips.map(({ label, value, onRemove }) => (
        <li key={label}>
          <button type="button" className={styles.chip} title={value} onClick={onRemove}>
            <span className={styles.text}>
              {label}: <bdi>{value}</bdi>
            </span>
            <span className="visually-hidden">, remove this filter</span>
            <span aria-hidden="true">×</span>
          </button>
        </li>
      ))}
      {chips.length > 1 && (
        <li>
          <button type="button" className={styles.clear} onClick={onClear}>
            Clear all filters
          </button>
        </li>
      )}
    </ul>
  );
}
