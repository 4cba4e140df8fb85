import type { ReactNode } from "react";
import styles from "./empty-state.module.css";

/** Notice in place of an empty list, with advice on what to do. */
export function EmptyState({ title, children }: { readonly title: string; readonly children?: ReactNode }) {
  return (
    <div className={styles.empty}>
      <strong>{title}</strong>
      {children !== undefined && <div>{children}</div>}
    </div>
  );
}
