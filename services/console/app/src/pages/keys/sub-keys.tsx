import { type Column, DataTable } from "../../components/data-table.tsx";
import { EmptyState } from "../../components/empty-state.tsx";
import { KeyLink } from "../../components/key-link.tsx";
import { Time } from "../../components/time.tsx";
import { formatCount } from "../../format/money.ts";
import { fromTimestamp } from "../../format/time.ts";
import { KeyStateBadge } from "./key-state-badge.tsx";
import { branchesBelow, type KeyBranch } from "./key-tree.ts";

const COLUMNS: readonly Column<KeyBranch>[] = [
  {
    title: "Name",
    cell: ({ key: { id, name } }) => <KeyLink id={id} name={name} />,
  },
  { title: "State", cell: ({ state }) => <KeyStateBadge state={state} /> },
  { title: "Last used", cell: ({ key }) => (key.lastUsedAt ? <Time date={fromTimestamp(key.lastUsedAt)} /> : "never") },
  { title: "Minted", cell: ({ key }) => <Time date={fromTimestamp(key.createdAt)} />, isOptional: true },
  { title: "Keys below", cell: (branch) => formatCount(branchesBelow(branch).length), isNumber: true },
];

/** Keys directly below a key. */
export function SubKeys({ branch: { children } }: { readonly branch: KeyBranch }) {
  if (children.length === 0) {
    return (
      <EmptyState title="This key has minted no keys.">
        A key with the scope <code>keys:write</code> mints keys below itself, which can do at most what it can.
      </EmptyState>
    );
  }
  return <DataTable caption="Sub-keys" columns={COLUMNS} rows={children} keyOf={({ key }) => key.id} />;
}
