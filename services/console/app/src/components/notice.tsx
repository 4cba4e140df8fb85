import type { ReactNode } from "react";
import styles from "./notice.module.css";

/** Short message in the flow of a page. Errors and warnings are announced to screen readers at once. */
export function Notice({
  kind,
  children,
}: {
  readonly kind: "info" | "good" | "warn" | "error";
  readonly children: ReactNode;
}) {
  return (
    <div className={`${styles.notice} ${styles[kind]}`} role={kind === "error" || kind === "warn" ? "alert" : "status"}>
      {children}
    </div>
  );
}
