import type { ReactNode } from "react";
import styles from "./empty-state.module.css";

/** Shown where there is nothing yet: says so, and what to do. */
export function EmptyState({ title, children }: { readonly title: string; readonly children?: ReactNode }) {
  return (
    <div className={styles.empty}>
      <strong>{title}</strong>
      {children !== undefined && <div>{children}</div>}
    </div>
  );
}
