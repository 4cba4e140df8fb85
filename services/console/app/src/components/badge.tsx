import type { ReactNode } from "react";
import styles from "./badge.module.css";

/** Badge that shows a state in a word. The colour only repeats the text. */
export function Badge({
  kind = "neutral",
  children,
}: {
  readonly kind?: "neutral" | "good" | "warn" | "bad";
  readonly children: ReactNode;
}) {
  return <span className={`${styles.badge} ${styles[kind]}`}>{children}</span>;
}
