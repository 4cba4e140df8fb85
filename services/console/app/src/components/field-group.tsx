import { type ReactNode, useId } from "react";
import styles from "./field.module.css";

interface FieldGroupProps {
  readonly label: string;
  readonly hint?: ReactNode;
  /** Fault of the values; it is announced to screen readers, and linked to the group. */
  readonly error?: string | undefined;
  /** Several controls, each with its own label. */
  readonly children: ReactNode;
}

/** Labelled group of form controls, e.g. checkboxes, with its hint and its error. */
export function FieldGroup({ label, hint, error, children }: FieldGroupProps) {
  const id = useId();
  const described = [hint !== undefined && `${id}-hint`, error !== undefined && `${id}-error`]
    .filter(Boolean)
    .join(" ");
  return (
    <fieldset className={styles.group} {...(described !== "" && { "aria-describedby": described })}>
      <legend>{label}</legend>
      {hint !== undefined && (
        <small id={`${id}-hint`} className={styles.hint}>
          {hint}
        </small>
      )}
      {children}
      {error !== undefined && (
        <small id={`${id}-error`} className={styles.error} role="alert">
          {error}
        </small>
      )}
    </fieldset>
  );
}
