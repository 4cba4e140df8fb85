import { type ReactNode, useEffect } from "react";
import { FaultBoundary } from "./section.tsx";
import styles from "./page.module.css";

interface PageProps {
  readonly title: string;
  /** Controls beside the title: filters, the main action. */
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}

/** Frame of a page: its heading, which is also the title of the browser tab, its controls and its sections. */
export function Page({ title, actions, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Routeplane`;
  }, [title]);
  return (
    <div className={styles.page}>
      <header className={styles.header}>
        <h1>{title}</h1>
        {actions !== undefined && <div className={styles.actions}>{actions}</div>}
      </header>
      <FaultBoundary>{children}</FaultBoundary>
    </div>
  );
}
