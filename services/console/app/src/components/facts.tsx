import type { ReactNode } from "react";
import styles from "./facts.module.css";

/** Fact about a resource: name and value. A fact without a value is left out. */
export type Fact = readonly [name: string, value: ReactNode];

/** List of facts about one resource. */
export function Facts({ facts }: { readonly facts: readonly Fact[] }) {
  return (
    <dl className={styles.facts}>
      {facts
        .filter(([, value]) => value !== undefined && value !== "")
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
