import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Key } from "@routeplane/contracts/auth";
import type { KeySpend } from "./key-spend.ts";
import type { KeyBranch } from "./key-tree.ts";

/** Orders of the list, by their name in the address. Without an order, the keys are shown as a tree. */
export const ORDERS = {
  spend: "Spend, most first",
  used: "Last used, newest first",
  created: "Created, newest first",
  name: "Name",
} as const;

type OrderName = keyof typeof ORDERS;

/** True if a text is the name of an order. */
export function isOrderName(name: string): name is OrderName {
  return Object.hasOwn(ORDERS, name);
}

/** Sorts keys. Equal keys keep the order of the list. */
export function orderKeys(
  branches: readonly KeyBranch[],
  order: OrderName,
  spends: ReadonlyMap<string, KeySpend>,
): readonly KeyBranch[] {
  if (order === "name") return branches.toSorted((left, right) => left.key.name.localeCompare(right.key.name, "en"));
  const valueOf = ({ key }: KeyBranch): bigint =>
    order === "spend" ? (spends.get(key.id)?.own ?? 0n) : timeOf(order === "used" ? key.lastUsedAt : key.createdAt);
  return branches.toSorted((left, right) => compare(valueOf(right), valueOf(left)));
}

function timeOf(time: Key["createdAt"]): bigint {
  return time === undefined ? -1n : BigInt(timestampMs(time));
}

function compare(left: bigint, right: bigint): number {
  return left === right ? 0 : left < right ? -1 : 1;
}
