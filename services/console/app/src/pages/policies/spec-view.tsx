import { type PolicySpec, toSpecJson } from "@routeplane/policy-spec";
import { specLines } from "./spec-lines.ts";
import styles from "./spec-view.module.css";

/** Rules of a spec in words, and its JSON for the command line. */
export function SpecView({ spec }: { readonly spec: PolicySpec }) {
  return (
    <>
      <dl className={styles.rules}>
        {specLines(spec).map(({ rule, value }) => (
          <div key={`${rule} ${value}`} className={styles.rule}>
            <dt>{rule}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <details className={styles.written}>
        <summary>As JSON</summary>
        {/* A region that scrolls must be reachable by keyboard. */}
        <pre className={styles.json} tabIndex={0} role="region" aria-label="Spec as JSON">
          {JSON.stringify(toSpecJson(spec), null, 2)}
        </pre>
      </details>
    </>
  );
}
