import { ALL_SCOPES, effectiveScopes, permits, type Scope, scopesBeyond } from "@routeplane/credentials";
import { DomainError, newId } from "@routeplane/domain";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Key, type KeyLineage, newRootKey, newSubKey } from "./key.ts";
import { expiryOf, isExpired, isRevoked, MAX_LINEAGE } from "../grant-rules.ts";

const NOW = Date.parse("2026-11-01T00:00:00Z");
const HOUR = 3_600_000;
const owner = { namespaceId: newId("ns"), accountId: newId("acc") };

function root(scopes: readonly string[] = ALL_SCOPES, expiresAt?: Date): KeyLineage {
  return [newRootKey(owner, { name: "root", scopes, expiresAt }, "rp_live_x", NOW)];
}

function below(parent: KeyLineage, scopes: readonly string[], expiresAt?: Date, now = NOW): KeyLineage {
  return [...parent, newSubKey(parent, { name: "sub", scopes, expiresAt }, "rp_live_x", now)];
}

function fault(work: () => unknown): DomainError {
  try {
    work();
  } catch (error) {
    if (error instanceof DomainError) return error;
  }
  return expect.fail("was not refused");
}

const revoked = (key: Key): Key => ({ ...key, revokedAt: new Date(NOW) });

describe("a sub-key", () => {
  it("belongs to its parent's namespace, one level below it in the lineage", () => {
    const lineage = below(root(), ["keys:read"]);
    expect(lineage[1]).toMatchObject({ namespaceId: owner.namespaceId, lineage: lineage.map(({ id }) => id) });
  });

  it("is refused scopes that its parent does not hold, and the error names them", () => {
    const error = fault(() => below(root(["keys:*", "usage:read"]), ["keys:read", "usage:*", "policy:read"]));
    expect(error).toMatchObject({ code: "permission_denied", metadata: { scopes: "policy:read usage:*" } });
  });

  it("is bound by what its parent holds now, not by what the parent was granted", () => {
    const [top, sub] = below(root(), ["keys:*"]);
    const narrowed: KeyLineage = [{ ...top, scopes: ["keys:read"] }, sub!];
    expect(fault(() => below(narrowed, ["keys:write"])).metadata).toEqual({ scopes: "keys:write" });
  });

  it("cannot outlive any key above it, and expires with them if it names no time", () => {
    const expiry = new Date(NOW + HOUR);
    const parent = below(root(ALL_SCOPES, expiry), ["keys:*"]);
    expect(expiryOf(parent)).toEqual(expiry);
    expect(below(parent, ["keys:read"])[2]?.expiresAt).toEqual(expiry);
    expect(fault(() => below(parent, ["keys:read"], new Date(NOW + HOUR + 1))).reason).toBe("EXPIRY_EXCEEDS_PARENT");
    expect(below(parent, ["keys:read"], expiry)).toHaveLength(3);
  });

  it("cannot be minted with an expiry that is now, by a key that is not active, or too deep in a lineage", () => {
    expect(fault(() => below(root(), ["keys:read"], new Date(NOW))).fields).toMatchObject([{ field: "expires_at" }]);
    const inactive: KeyLineage = [revoked(root()[0])];
    expect(fault(() => below(inactive, ["keys:read"])).code).toBe("unauthenticated");
    const expired = root(ALL_SCOPES, new Date(NOW + 1));
    expect(fault(() => below(expired, ["keys:read"], undefined, NOW + 1)).code).toBe("unauthenticated");
    let deep = root();
    while (deep.length < MAX_LINEAGE) deep = below(deep, ["keys:*"]);
    expect(fault(() => below(deep, ["keys:read"])).reason).toBe("LINEAGE_TOO_DEEP");
  });

  it("is revoked or expired with any key above it", () => {
    const [top, sub] = below(root(), ["keys:read"]);
    expect(isRevoked([top, sub!])).toBe(false);
    expect(isRevoked([revoked(top), sub!])).toBe(true);
    expect(isExpired([{ ...top, expiresAt: new Date(NOW) }, sub!], NOW)).toBe(true);
  });
});

describe("over random lineages", () => {
  const anyScope = fc.constantFrom<Scope>(
    ...ALL_SCOPES,
    ...(["inference:invoke", "keys:read", "keys:write", "policy:read", "policy:write", "usage:read"] as const),
  );
  const request = fc.record({
    scopes: fc.uniqueArray(anyScope, { minLength: 1 }),
    lifetime: fc.integer({ min: -1, max: 9 }),
  });

  it("no key ever holds more, or lives longer, than any key above it", () => {
    fc.assert(
      fc.property(fc.array(request, { minLength: 1, maxLength: 12 }), (requests) => {
        let lineage = root();
        for (const { scopes, lifetime } of requests) {
          const expiresAt = lifetime === 0 ? undefined : new Date(NOW + lifetime * HOUR);
          try {
            lineage = below(lineage, scopes, expiresAt);
          } catch (error) {
            expect(error).toBeInstanceOf(DomainError);
          }
        }
        for (const [depth, key] of lineage.entries()) {
          for (const above of lineage.slice(0, depth)) {
            expect(scopesBeyond(key.scopes, above.scopes)).toEqual([]);
            expect((key.expiresAt?.getTime() ?? Infinity) <= (above.expiresAt?.getTime() ?? Infinity)).toBe(true);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it("the effective scopes are within every key's own, whatever was narrowed afterwards", () => {
    fc.assert(
      fc.property(fc.array(fc.uniqueArray(anyScope), { minLength: 1, maxLength: 6 }), (lineage) => {
        for (const scope of effectiveScopes(lineage)) {
          for (const held of lineage) expect(permits(held, scope)).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});
