import type { CSSProperties } from "react";
import { Link } from "wouter";
import styles from "./key-name-cell.module.css";
import type { TreeRow } from "./key-tree.ts";

interface KeyNameCellProps {
  readonly row: TreeRow;
  readonly isCollapsed: boolean;
  readonly onToggle: () => void;
}

/** Name of a key, indented by its depth, with the button that shows or hides the keys below it. */
export function KeyNameCell({
  row: { branch, depth, isMatch, hasRowsBelow },
  isCollapsed,
  onToggle,
}: KeyNameCellProps) {
  const { key, lineage, state } = branch;
  const parent = lineage.at(-2);
  return (
    <div className={styles.cell} style={{ "--depth": depth } as CSSProperties} data-depth={depth}>
      {hasRowsBelow ? (
        <button
          type="button"
          className={styles.toggle}
          aria-expanded={!isCollapsed}
          aria-label={`Keys below ${key.name}`}
          onClick={onToggle}
        />
      ) : (
        <span className={styles.leaf} />
      )}
      <span className={styles.names}>
        <Link href={`/keys/${key.id}`} className={isMatch ? undefined : styles.above}>
          <bdi>{key.name}</bdi>
        </Link>
        {parent !== undefined && <span className="visually-hidden">, below {parent.name}</span>}
        {state.ancestor !== undefined && (
          <small className={styles.reason}>
            {state.kind} with <bdi>{state.ancestor.name}</bdi>
          </small>
        )}
      </span>
    </div>
  );
}
