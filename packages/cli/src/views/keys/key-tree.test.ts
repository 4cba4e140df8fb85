import { expect, it } from "vitest";
import type { KeyView } from "./key.ts";
import { keyTree } from "./key-tree.ts";

const NOW = Date.parse("2026-11-01T00:00:00Z");
const PAST = "2026-10-31T00:00:00.000Z";

const key = (id: string, parent_id: string | null, more: Partial<KeyView> = {}): KeyView => ({
  id,
  name: id,
  prefix: "rp_live_x",
  scopes: [],
  parent_id,
  created_at: PAST,
  expires_at: null,
  last_used_at: null,
  revoked_at: null,
  revoked_reason: null,
  ...more,
});
const lines = (keys: readonly KeyView[]): string[] => keyTree(keys, NOW).map(({ indent, key: { id } }) => indent + id);

it("shows parents first, and sub-keys in the order of the list", () => {
  const keys = [key("r1", null), key("a", "r1"), key("r2", null), key("b", "r1"), key("a1", "a"), key("z", "r2")];
  const deep = [...keys, key("a2", "a"), key("a1x", "a1"), key("b1", "b")];
  expect(lines(deep)).toEqual([
    "r1",
    "├── a",
    "│   ├── a1",
    "│   │   └── a1x",
    "│   └── a2",
    "└── b",
    "    └── b1",
    "r2",
    "└── z",
  ]);
});

it("includes every key, even one whose parent is not in the list", () => {
  expect(lines([key("orphan", "elsewhere"), key("below", "orphan")])).toEqual(["orphan", "└── below"]);
  expect(lines([])).toEqual([]);
});

it("shows a key below a revoked or expired one as refused, too", () => {
  const keys = [
    key("root", null),
    key("gone", "root", { revoked_at: PAST }),
    key("below", "gone"),
    key("further", "below"),
    key("late", "gone", { expires_at: PAST }),
    key("over", "root", { expires_at: PAST }),
    key("under", "over"),
    key("alive", "root"),
  ];
  expect(Object.fromEntries(keyTree(keys, NOW).map(({ key: { id }, status }) => [id, status]))).toEqual({
    root: "active",
    gone: "revoked",
    below: "revoked above",
    further: "revoked above",
    late: "expired",
    over: "expired",
    under: "expired above",
    alive: "active",
  });
});
