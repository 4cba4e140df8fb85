import styles from "./chips.module.css";

/** Filter of a list. */
export interface Chip {
  /** Name of the filter, e.g. `Key`. */
  readonly label: string;
  /** Value of the filter; empty: the filter is not set, and has no chip. */
  readonly value: string;
  readonly onRemove: () => void;
}

/** Filters that are set, each with a button that removes it, and a button that removes all if there are several. */
export function Chips({ chips, onClear }: { readonly chips: readonly Chip[]; readonly onClear: () => void }) {
  const set = chips.filter(({ value }) => value !== "");
  if (set.length === 0) return null;
  return (
    <ul className={styles.chips} aria-label="Active filters">
      {set.map(({ label, value, onRemove }) => (
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
      {set.length > 1 && (
        <li>
          <button type="button" className={styles.clear} onClick={onClear}>
            Clear all filters
          </button>
        </li>
      )}
    </ul>
  );
}
