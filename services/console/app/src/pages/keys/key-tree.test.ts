import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Key, KeySchema } from "@routeplane/contracts/auth";
import { expect, test } from "vitest";
import { branchesBelow, keyTreeOf, type KeyTree, treeRows } from "./key-tree.ts";

const NOW = Date.parse("2026-11-30T00:00:00Z");
const HOUR_MS = 3_600_000;
const PAST = timestampFromMs(NOW - HOUR_MS);

function key(id: string, parentId = "", more: MessageInitShape<typeof KeySchema> = {}): Key {
  return create(KeySchema, { id, name: `name of ${id}`, parentId, ...more });
}

function shown(tree: KeyTree, text: string, state: string, collapsed: readonly string[] = []): readonly string[] {
  return treeRows(tree, { text, state }, new Set(collapsed)).map(
    ({ branch, depth, isMatch }) => `${" ".repeat(depth)}${branch.key.id}${isMatch ? "" : " (above)"}`,
  );
}

test("shows parents first, siblings in the order of the list, and a key with an unknown parent like a root key", () => {
  const tree = keyTreeOf([key("r"), key("a", "r"), key("s"), key("b", "r"), key("a1", "a"), key("o", "lost")], NOW);
  expect(shown(tree, "", "")).toEqual(["r", " a", "  a1", " b", "s", "o"]);
  expect(tree.branches.get("a1")?.lineage.map(({ id }) => id)).toEqual(["r", "a", "a1"]);
});

test("names the key above that ended a key, unless the key itself has ended", () => {
  const keys = [
    key("r"),
    key("gone", "r", { revokedAt: PAST }),
    key("below", "gone"),
    key("further", "below"),
    key("late", "gone", { expiresAt: PAST }),
    key("over", "r", { expiresAt: timestampFromMs(NOW) }),
    key("under", "over"),
  ];
  const { branches } = keyTreeOf(keys, NOW);
  const states = [...branches.values()].map(({ state }) => [state.kind, state.ancestor?.id]);
  expect(states).toEqual([
    ["active", undefined],
    ["revoked", undefined],
    ["revoked", "gone"],
    ["revoked", "gone"],
    ["expired", undefined],
    ["expired", undefined],
    ["expired", "over"],
  ]);
});

test("expires with the earliest key of its lineage, and is expiring within 7 days of that", () => {
  const later = (days: number) => ({ expiresAt: timestampFromMs(NOW + days * 24 * HOUR_MS) });
  const { branches } = keyTreeOf(
    [key("r", "", later(7)), key("a", "r", later(1)), key("b", "r"), key("c", "", later(8))],
    NOW,
  );
  const states = [...branches.values()].map(({ key: { id }, state }) => [id, state.kind, state.expiresAtMs]);
  expect(states).toEqual([
    ["r", "expiring", NOW + 168 * HOUR_MS],
    ["a", "expiring", NOW + 24 * HOUR_MS],
    ["b", "expiring", NOW + 168 * HOUR_MS],
    ["c", "active", NOW + 192 * HOUR_MS],
  ]);
});

test("keeps the keys above a match, and hides the keys below a collapsed one", () => {
  const tree = keyTreeOf([key("r"), key("a", "r"), key("a1", "a", { revokedAt: PAST }), key("b", "r")], NOW);
  expect(shown(tree, "", "")).toEqual(["r", " a", " b"]);
  expect(shown(tree, "", "revoked")).toEqual(["r (above)", " a (above)", "  a1"]);
  expect(shown(tree, " OF A1 ", "all")).toEqual(["r (above)", " a (above)", "  a1"]);
  expect(shown(tree, "", "all", ["a"])).toEqual(["r", " a", " b"]);
  expect(shown(tree, "nothing", "all")).toEqual([]);
});

test("lists all keys below a key", () => {
  const { branches } = keyTreeOf([key("r"), key("a", "r"), key("b", "r"), key("a1", "a")], NOW);
  const root = branches.get("r");
  expect(root && branchesBelow(root).map(({ key: { id } }) => id)).toEqual(["a", "a1", "b"]);
});
