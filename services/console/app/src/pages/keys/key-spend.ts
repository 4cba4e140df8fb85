import type { UsageGroup } from "@routeplane/contracts/usage";
import type { KeyBranch, KeyTree } from "./key-tree.ts";

/** Spend of a key in a time range. Micro-USD. */
export interface KeySpend {
  readonly own: bigint;
  /** Spend of the key and of all keys below it. */
  readonly withSubKeys: bigint;
  readonly requestCount: bigint;
}

/** Spend of every key of the tree. @param groups usage by key */
export function spendByKey(tree: KeyTree, groups: readonly UsageGroup[]): ReadonlyMap<string, KeySpend> {
  const groupOf = new Map(groups.map((group) => [group.keyId, group]));
  const spends = new Map<string, KeySpend>();
  const add = ({ key: { id }, children }: KeyBranch): bigint => {
    const group = groupOf.get(id);
    const own = group?.spendMicroUsd ?? 0n;
    const withSubKeys = children.reduce((sum, child) => sum + add(child), own);
    spends.set(id, { own, withSubKeys, requestCount: group?.requestCount ?? 0n });
    return withSubKeys;
  };
  for (const root of tree.roots) add(root);
  return spends;
}
