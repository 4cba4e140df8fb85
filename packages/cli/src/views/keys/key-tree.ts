import type { Column } from "../../output/table.ts";
import { formatTime } from "../../output/time.ts";
import { keyStatus, type KeyView } from "./key.ts";

/** A key where it hangs in its namespace's tree. */
export interface KeyBranch {
  readonly key: KeyView;
  /** What leads up to its name: empty for a root key, else branches such as `│   └── `. */
  readonly indent: string;
  /** Of the key with those above it: one below a dead key is as dead. */
  readonly status: string;
}

/** Parents first, and the keys below one in the order of `keys`. One whose parent is not among them stands like a root key. */
export function keyTree(keys: readonly KeyView[], nowMs: number): readonly KeyBranch[] {
  const ids = new Set(keys.map(({ id }) => id));
  const below = Map.groupBy(keys, ({ parent_id }) => (parent_id !== null && ids.has(parent_id) ? parent_id : null));
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
  { header: "PREFIX", cell: ({ key }) => key.prefix },
  { header: "STATUS", cell: ({ status }) => status },
  { header: "CREATED", cell: ({ key }) => formatTime(key.created_at) },
  { header: "SCOPES", cell: ({ key }) => key.scopes.join(" ") },
];
