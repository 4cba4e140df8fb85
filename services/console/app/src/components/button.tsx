import type { ButtonHTMLAttributes, ReactNode } from "react";
import { Link } from "wouter";
import styles from "./button.module.css";

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  /** `primary`: the main action of a form; `danger`: a destructive action; `plain`: looks like text. Default: a plain frame. */
  readonly kind?: "primary" | "danger" | "plain";
  /** True while its action runs: the button is disabled and shows that it is busy. */
  readonly isBusy?: boolean;
}

/** Button. Its type is `button` by default, so that it does not submit a form by accident. */
export function Button({ kind, isBusy = false, className, children, disabled, type = "button", ...rest }: ButtonProps) {
  const classes = [styles.button, kind !== undefined && styles[kind], className].filter(Boolean).join(" ");
  return (
    <button
      {...rest}
      type={type}
      className={classes}
      disabled={disabled === true || isBusy}
      aria-busy={isBusy || undefined}
    >
      {children}
    </button>
  );
}

interface ButtonLinkProps {
  readonly href: string;
  readonly kind?: "primary" | "plain";
  readonly children: ReactNode;
}

/** Link that looks like a button, for the main action of a page that leads to another page. */
export function ButtonLink({ href, kind, children }: ButtonLinkProps) {
  const classes = [styles.button, styles.link, kind !== undefined && styles[kind]].filter(Boolean).join(" ");
  return (
    <Link href={href} className={classes}>
      {children}
    </Link>
  );
}
