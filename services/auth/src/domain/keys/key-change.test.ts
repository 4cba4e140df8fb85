import { ALL_SCOPES, type Scope, scopesBeyond } from "@routeplane/credentials";
import { DomainError, newId } from "@routeplane/domain";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Key, type KeyCaller, type KeyLineage, newRootKey, newSubKey } from "./key.ts";
import { type KeyUpdate, requireKeyAuthority, revokedKey, rotatedKey, updatedKey } from "./key-change.ts";
import { expiryOf, lastOf, scopesOf } from "../grant-rules.ts";

const NOW = Date.parse("2026-11-01T00:00:00Z");
const HOUR = 3_600_000;
const owner = { namespaceId: newId("ns"), accountId: newId("acc") };
const at = (hours: number): Date => new Date(NOW + hours * HOUR);

function root(scopes: readonly string[] = ALL_SCOPES, expiresAt?: Date): KeyLineage {
  return [newRootKey(owner, { name: "root", scopes, expiresAt }, "rp_live_x", NOW)];
}

function below(parent: KeyLineage, scopes: readonly string[] = ALL_SCOPES, expiresAt?: Date): KeyLineage {
  return [...parent, newSubKey(parent, { name: "sub", scopes, expiresAt }, "rp_live_x", NOW)];
}

/** `lineage` with its last key replaced. */
const withLast = ([top, ...rest]: KeyLineage, last: Key): KeyLineage =>
  rest.length === 0 ? [last] : [top, ...rest.slice(0, -1), last];

function fault(work: () => unknown): DomainError {
  try {
    work();
  } catch (error) {
    if (error instanceof DomainError) return error;
  }
  return expect.fail("was not refused");
}

describe("an update", () => {
  it("changes the named fields and no others", () => {
    const lineage = below(root(), ["keys:*", "usage:read"]);
    const update = { name: "new", scopes: ["keys:read"], expiresAt: at(1) };
    expect(updatedKey(lineage, update, NOW)).toEqual({ ...lastOf(lineage), ...update });
    expect(updatedKey(lineage, { name: "new" }, NOW)).toEqual({ ...lastOf(lineage), name: "new" });
  });

  it("narrows scopes by meaning, and names what would widen them", () => {
    const lineage = root(["keys:*", "usage:read"]);
    expect(updatedKey(lineage, { scopes: ["keys:write", "keys:read"] }, NOW).scopes).toEqual([
      "keys:read",
      "keys:write",
    ]);
    const error = fault(() => updatedKey(lineage, { scopes: ["usage:*", "keys:read", "policy:read"] }, NOW));
    expect(error).toMatchObject({
      code: "permission_denied",
      reason: "KEY_WIDENED",
      metadata: { scopes: "policy:read usage:*" },
    });
    const narrowed = withLast(lineage, updatedKey(lineage, { scopes: ["keys:read"] }, NOW));
    expect(fault(() => updatedKey(narrowed, { scopes: ["keys:*"] }, NOW)).metadata).toEqual({ scopes: "keys:*" });
  });

  it("is bound by what the keys above hold now, not by what the key was granted", () => {
    const [top, sub] = below(root());
    const lineage: KeyLineage = [{ ...top, scopes: ["keys:read"], expiresAt: at(2) }, sub!];
    expect(fault(() => updatedKey(lineage, { scopes: ["keys:write"] }, NOW)).metadata).toEqual({
      scopes: "keys:write",
    });
    expect(fault(() => updatedKey(lineage, { expiresAt: at(3) }, NOW)).metadata).toEqual({
      expires_at: at(2).toISOString(),
    });
  });

  it.each<[string, string[]]>([
    ["none", []],
    ["a blank one", ["keys:read", " "]],
    ["an unknown one", ["keys:fly"]],
    ["one in upper case", ["KEYS:READ"]],
    ["one twice", ["keys:read", "keys:read"]],
  ])("refuses as scopes: %s", (_, scopes) => {
    expect(fault(() => updatedKey(root(), { scopes }, NOW)).fields).toMatchObject([{ field: "scopes" }]);
  });

  it("brings an expiry forward, and accepts the present one", () => {
    const lineage = root(ALL_SCOPES, at(2));
    for (const hours of [1, 2]) expect(updatedKey(lineage, { expiresAt: at(hours) }, NOW).expiresAt).toEqual(at(hours));
    expect(updatedKey(root(), { expiresAt: at(9) }, NOW).expiresAt).toEqual(at(9));
  });

  it.each<[string, KeyUpdate["expiresAt"] & {}]>([
    ["a later one", new Date(at(2).getTime() + 1)],
    ["none", "never"],
  ])("refuses as expiry of a key that has one: %s, and says which is the latest", (_, expiresAt) => {
    const error = fault(() => updatedKey(root(ALL_SCOPES, at(2)), { expiresAt }, NOW));
    expect(error).toMatchObject({ reason: "KEY_WIDENED", metadata: { expires_at: at(2).toISOString() } });
  });

  it.each<[string, Date]>([
    ["in the past", at(-1)],
    ["at this very moment", at(0)],
    ["that is not a time", new Date(Number.NaN)],
    ["beyond what RFC 3339 can express", new Date("+010000-01-01T00:00:00Z")],
  ])("refuses an expiry %s", (_, expiresAt) => {
    expect(fault(() => updatedKey(root(), { expiresAt }, NOW))).toMatchObject({
      code: "invalid_argument",
      fields: [{ field: "expires_at" }],
    });
  });

  it("accepts no expiry for a key that never expires", () => {
    expect(updatedKey(root(), { expiresAt: "never" }, NOW).expiresAt).toBeUndefined();
  });
});

describe("a key that is not active, or below one that is not,", () => {
  const active = below(root(), ["keys:read"], at(2));
  const inactive: [string, KeyLineage, number][] = [
    ["revoked", withLast(active, revokedKey(active, undefined, NOW)), NOW],
    ["below a revoked one", [revokedKey([active[0]], undefined, NOW), active[1]!], NOW],
    ["expired", active, at(2).getTime()],
    ["below an expired one", [{ ...active[0], expiresAt: at(1) }, active[1]!], at(1).getTime()],
  ];

  it.each(inactive)("accepts neither an update nor a rotation: %s", (_, lineage, now) => {
    for (const change of [() => updatedKey(lineage, { name: "x" }, now), () => rotatedKey(lineage, "rp_live_y", now)]) {
      expect(fault(change)).toMatchObject({ code: "failed_precondition", reason: "STATE_CONFLICT" });
    }
  });

  it("can still be revoked, once: a second time changes neither time nor reason", () => {
    const first = revokedKey(active, "leaked", NOW);
    expect(first).toMatchObject({ revokedAt: new Date(NOW), revokedReason: "leaked" });
    expect(revokedKey(withLast(active, first), "other", NOW + 1)).toBe(first);
  });
});

describe("over random trees", () => {
  const anyScope = fc.constantFrom<Scope>(...ALL_SCOPES, "keys:read", "keys:write", "usage:read", "policy:read");
  const step = fc.record({
    parent: fc.nat(20),
    scopes: fc.uniqueArray(anyScope, { minLength: 1 }),
    lifetime: fc.integer({ min: 0, max: 9 }),
  });
  const trees = fc.array(step, { minLength: 1, maxLength: 12 }).map((steps) => {
    const tree: KeyLineage[] = [root(), root()];
    for (const { parent, scopes, lifetime } of steps) {
      const above = tree[parent % tree.length]!;
      const granted = scopesBeyond(scopes, scopesOf(above)).length === 0 ? scopes : scopesOf(above);
      const limit = expiryOf(above) ?? at(10);
      const expiresAt = lifetime === 0 ? undefined : new Date(Math.min(at(lifetime).getTime(), limit.getTime()));
      if (above.length < 8) tree.push(below(above, granted, expiresAt));
    }
    return tree;
  });
  const callerOf = (lineage: KeyLineage): KeyCaller => ({
    namespaceId: owner.namespaceId,
    keyId: lastOf(lineage).id,
    lineage: lineage.map(({ id }) => id),
    lookupId: "",
    scopes: scopesOf(lineage),
  });
  const hasAuthority = (caller: KeyLineage, target: KeyLineage, action: "change" | "rotate"): boolean => {
    try {
      requireKeyAuthority(callerOf(caller), lastOf(target), action);
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: "permission_denied", reason: "KEY_OUT_OF_LINEAGE" });
      return false;
    }
  };

  it("a rotation hands nobody a token that may do more, or lives longer, than the caller", () => {
    fc.assert(
      fc.property(trees, (tree) => {
        for (const caller of tree) {
          expect(hasAuthority(caller, caller, "rotate")).toBe(true);
          for (const target of tree.filter((each) => hasAuthority(caller, each, "rotate"))) {
            expect(target.slice(0, caller.length)).toEqual(caller);
            expect(scopesBeyond(scopesOf(target), scopesOf(caller))).toEqual([]);
            const [end, limit] = [target, caller].map((each) => expiryOf(each)?.getTime() ?? Infinity);
            expect(end!).toBeLessThanOrEqual(limit!);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it("a sub-key changes nothing above it and nothing on another branch; a root key changes all", () => {
    fc.assert(
      fc.property(trees, (tree) => {
        for (const caller of tree) {
          for (const target of tree) {
            const isBelow = lastOf(target).lineage.includes(lastOf(caller).id);
            expect(hasAuthority(caller, target, "change")).toBe(isBelow || caller.length === 1);
            expect(hasAuthority(caller, target, "rotate")).toBe(isBelow);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it("no sequence of updates ever widens a key", () => {
    const update = fc.record(
      { scopes: fc.uniqueArray(anyScope), expiresAt: fc.option(fc.integer({ min: -1, max: 9 }), { nil: undefined }) },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.array(update, { maxLength: 10 }), (updates) => {
        let lineage = below(root(), ALL_SCOPES);
        for (const { scopes, expiresAt } of updates) {
          const keyUpdate: KeyUpdate = {
            ...(scopes && { scopes }),
            ...(expiresAt !== undefined && { expiresAt: expiresAt === 9 ? "never" : at(expiresAt) }),
          };
          const before = lineage;
          try {
            lineage = withLast(lineage, updatedKey(lineage, keyUpdate, NOW));
          } catch (error) {
            expect(error).toBeInstanceOf(DomainError);
          }
          expect(scopesBeyond(scopesOf(lineage), scopesOf(before))).toEqual([]);
          expect(scopesOf(lineage)).not.toEqual([]);
          expect(expiryOf(lineage)?.getTime() ?? Infinity).toBeLessThanOrEqual(expiryOf(before)?.getTime() ?? Infinity);
        }
      }),
      { numRuns: 500 },
    );
  });
});
