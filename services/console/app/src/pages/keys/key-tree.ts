import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Key } from "@routeplane/contracts/auth";

/** Time before the expiry of a key within which it counts as expiring. Milliseconds. */
const SOON_MS = 7 * 86_400_000;

/** State of a key and the keys above it: a key below a revoked or expired key is refused as well. */
export interface KeyState {
  readonly kind: "active" | "expiring" | "expired" | "revoked";
  /** Key above that is revoked or expired; absent if the key itself is, or if it is not refused. */
  readonly ancestor?: Key;
  /** Time from which the key is refused: the earliest expiry in its lineage. Milliseconds since 1970; absent: never. */
  readonly expiresAtMs?: number;
}

/** Key at its position in the tree of its namespace. */
export interface KeyBranch {
  readonly key: Key;
  readonly state: KeyState;
  /** Keys from the root key down to this key, as far as they are known. */
  readonly lineage: readonly Key[];
  /** Keys directly below this key, in the order of the list. */
  readonly children: readonly KeyBranch[];
}

/** Tree of the keys of a namespace. */
export interface KeyTree {
  readonly roots: readonly KeyBranch[];
  readonly branches: ReadonlyMap<string, KeyBranch>;
}

/** Makes the tree of keys. A key whose parent is not in `keys` is shown like a root key, so that no key is left out. */
export function keyTreeOf(keys: readonly Key[], now: number): KeyTree {
  const ids = new Set(keys.map(({ id }) => id));
  const below = Map.groupBy(keys, ({ parentId }) => (ids.has(parentId) ? parentId : ""));
  const branches = new Map<string, KeyBranch>();
  const grow = (key: Key, above: KeyBranch | undefined): KeyBranch => {
    const children: KeyBranch[] = [];
    const lineage = [...(above?.lineage ?? []), key];
    const branch: KeyBranch = { key, lineage, children, state: stateOf(key, above, now) };
    branches.set(key.id, branch);
    for (const child of below.get(key.id) ?? []) children.push(grow(child, branch));
    return branch;
  };
  return { roots: (below.get("") ?? []).map((key) => grow(key, undefined)), branches };
}

function stateOf(key: Key, above: KeyBranch | undefined, now: number): KeyState {
  const expiries = [above?.state.expiresAtMs, key.expiresAt && timestampMs(key.expiresAt)];
  const expiresAtMs = Math.min(...expiries.filter((expiry) => expiry !== undefined));
  const expiry = Number.isFinite(expiresAtMs) ? { expiresAtMs } : {};
  if (key.revokedAt !== undefined) return { kind: "revoked", ...expiry };
  if (key.expiresAt !== undefined && timestampMs(key.expiresAt) <= now) return { kind: "expired", ...expiry };
  if (above !== undefined && isRefused(above.state)) {
    return { kind: above.state.kind, ancestor: above.state.ancestor ?? above.key, ...expiry };
  }
  return { kind: expiresAtMs - now <= SOON_MS ? "expiring" : "active", ...expiry };
}

/** True for the state of a key that is refused. */
export function isRefused({ kind }: KeyState): boolean {
  return kind === "revoked" || kind === "expired";
}

/** Keys below a key, at any depth, in the order of the tree. */
export function branchesBelow(branch: KeyBranch): readonly KeyBranch[] {
  return branch.children.flatMap((child) => [child, ...branchesBelow(child)]);
}

/** Filters of the list of keys. */
export interface KeyFilter {
  /** Part of a name, an id or a prefix, in any case; empty: all. */
  readonly text: string;
  /** `""`: keys that are not refused; `all`: all keys; otherwise one kind of state. */
  readonly state: string;
}

/** True if a key matches the filters. */
export function matchesFilter({ key, state }: KeyBranch, filter: KeyFilter): boolean {
  const text = filter.text.trim().toLowerCase();
  const isNamed = [key.name, key.id, key.prefix].some((value) => value.toLowerCase().includes(text));
  if (!isNamed) return false;
  if (filter.state === "all") return true;
  return filter.state === "" ? !isRefused(state) : state.kind === filter.state;
}

/** Visible row of the tree. */
export interface TreeRow {
  readonly branch: KeyBranch;
  readonly depth: number;
  /** False for a key that is shown only because one below it matches. */
  readonly isMatch: boolean;
  /** True if rows below it are shown, or would be if it were not collapsed. */
  readonly hasRowsBelow: boolean;
}

/** Visible rows of the tree: keys that match and the keys above them, without keys below a collapsed key. */
export function treeRows(tree: KeyTree, filter: KeyFilter, collapsed: ReadonlySet<string>): readonly TreeRow[] {
  const rowsOf = (branch: KeyBranch, depth: number): readonly TreeRow[] => {
    const below = branch.children.flatMap((child) => rowsOf(child, depth + 1));
    const isMatch = matchesFilter(branch, filter);
    if (!isMatch && below.length === 0) return [];
    const row = { branch, depth, isMatch, hasRowsBelow: below.length > 0 };
    return collapsed.has(branch.key.id) ? [row] : [row, ...below];
  };
  return tree.roots.flatMap((root) => rowsOf(root, 0));
}
