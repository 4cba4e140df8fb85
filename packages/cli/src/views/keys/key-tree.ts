import type { Column } from "../../output/table.ts";
import { formatTime } from "../../output/time.ts";
import { keyStatus, type KeyView } from "./key.ts";

/** Key at its position in the tree of the namespace. */
export interface KeyBranch {
  readonly key: KeyView;
  /** Lines of the tree before the name, e.g. `│   └── `; empty for a root key. */
  readonly indent: string;
  /** Status of the key and the keys above it: a key below a revoked or expired one is refused as well. */
  readonly status: string;
}

/** Tree of keys, parents first, siblings in the order of `keys`. A key whose parent is not in `keys` is shown like a root key. */
export function keyTree(keys: readonly KeyView[], nowMs: number): readonly KeyBranch[] {
  const ids = new Set(keys.map(({ id }) => id));
  const below = new Map<string | null, KeyView[]>();
  for (const key of keys) {
    const parent = key.parent_id !== null && ids.has(key.parent_id) ? key.parent_id : null;
    const siblings = below.get(parent);
    if (siblings === undefined) below.set(parent, [key]);
    else siblings.push(key);
  }
  const tree: KeyBranch[] = [];
  const grow = (parent: string | null, indent: string, above: string): void => {
    const siblings = below.get(parent) ?? [];
    for (const [index, key] of siblings.entries()) {
      const isLast = index === siblings.length - 1;
      const [branch, stem] = parent === null ? ["", ""] : isLast ? ["└── ", "    "] : ["├── ", "│   "];
      const own = keyStatus(key, nowMs);
      const status = own === "active" ? above : own;
      tree.push({ key, indent: indent + branch, status });
      grow(key.id, indent + stem, own === "active" ? above : `${own} above`);
    }
  };
  grow(null, "", "active");
  return tree;
}

export const KEY_TREE_COLUMNS: readonly Column<KeyBranch>[] = [
  { header: "NAME", cell: ({ key, indent }) => indent + key.name },
  { header: "ID", cell: ({ key }) => key.id },
  { header: "PREFIX", leaveOutRank: 3, cell: ({ key }) => key.prefix },
  { header: "STATUS", cell: ({ status }) => status },
  { header: "CREATED", leaveOutRank: 2, cell: ({ key }) => formatTime(key.created_at) },
  { header: "SCOPES", leaveOutRank: 1, cell: ({ key }) => key.scopes.join(" ") },
];
