import type { ReactNode } from "react";
import styles from "./badge.module.css";

/** Small word for a state. Its text says all: the colour only repeats it. */
export function Badge({
  kind = "neutral",
  children,
}: {
  readonly kind?: "neutral" | "good" | "warn" | "bad";
  readonly children: ReactNode;
}) {
  return <span className={`${styles.badge} ${styles[kind]}`}>{children}</span>;
}
