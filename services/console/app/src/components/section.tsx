import { Component, type ReactNode, useId } from "react";
import { Notice } from "./notice.tsx";
import styles from "./section.module.css";

interface SectionProps {
  readonly title: string;
  /** Controls beside the title. */
  readonly actions?: ReactNode;
  /** True while the content is read again. */
  readonly isBusy?: boolean;
  readonly children: ReactNode;
}

/** Titled part of a page. If it throws, a notice is shown in its place, and the rest of the page keeps working. */
export function Section({ title, actions, isBusy = false, children }: SectionProps) {
  const id = useId();
  return (
    <section className={styles.section} aria-labelledby={id} aria-busy={isBusy || undefined}>
      <header className={styles.header}>
        <h2 id={id}>{title}</h2>
        {actions !== undefined && <div className={styles.actions}>{actions}</div>}
      </header>
      <FaultBoundary>{children}</FaultBoundary>
    </section>
  );
}

/** Shows a notice in place of a child that threw. React requires a class for this. */
export class FaultBoundary extends Component<{ readonly children: ReactNode }, { readonly fault: Error | undefined }> {
  override state = { fault: undefined as Error | undefined };

  static getDerivedStateFromError(fault: Error) {
    return { fault };
  }

  override render() {
    const { fault } = this.state;
    if (fault === undefined) return this.props.children;
    return (
      <Notice kind="error">
        <strong>This part of the page failed.</strong> {fault.message} Reload the page to try again.
      </Notice>
    );
  }
}
