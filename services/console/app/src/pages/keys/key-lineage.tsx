import type { Key } from "@routeplane/contracts/auth";
import { Link } from "wouter";
import { KeyLink } from "../../components/key-link.tsx";
import styles from "./key-lineage.module.css";

/** Breadcrumbs from the list of keys to a key, through every key above it. */
export function KeyLineage({ lineage }: { readonly lineage: readonly Key[] }) {
  return (
    <nav aria-label="Keys above">
      <ol className={styles.lineage}>
        <li>
          <Link href="/keys">All keys</Link>
        </li>
        {lineage.map(({ id, name }, index) => (
          <li key={id}>
            {index === lineage.length - 1 ? <bdi aria-current="page">{name}</bdi> : <KeyLink id={id} name={name} />}
          </li>
        ))}
      </ol>
    </nav>
  );
}
