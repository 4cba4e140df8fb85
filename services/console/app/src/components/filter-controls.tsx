import type { ReactNode } from "react";
import styles from "./filter-controls.module.css";

interface FilterControlsProps {
  /** Name of the filtered list, for screen readers. */
  readonly label: string;
  /** Filters that are set. */
  readonly chips: ReactNode;
  /** Fields of the filters. */
  readonly children: ReactNode;
}

/** Controls that filter a list, above it. */
export function FilterControls({ label, chips, children }: FilterControlsProps) {
  return (
    <search className={styles.filters} aria-label={label}>
      <div className={styles.controls}>{children}</div>
      {chips}
    </search>
  );
}
