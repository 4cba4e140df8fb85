import { ALL_OPERATOR_SCOPES, type OperatorScope, permits, scopesBeyond } from "@routeplane/credentials";
import { DomainError, newId } from "@routeplane/domain";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expiryOf, isRevoked, lastOf, scopesOf } from "../grant-rules.ts";
import {
  firstOperator,
  newSubOperator,
  type OperatorLineage,
  requireOperatorAuthority,
  revokedOperator,
  rotatedOperator,
} from "./operator.ts";

const NOW = Date.parse("2026-11-01T00:00:00Z");
const HOUR = 3_600_000;
const ACTIONS = ["accounts:read", "accounts:write", "audit:read", "keys:write", "namespaces:read", "operators:write"];
const SCOPES = [...ALL_OPERATOR_SCOPES, ...ACTIONS] as OperatorScope[];
const [ONE, OTHER] = [newId("acc"), newId("acc")];

const first: OperatorLineage = [firstOperator("rpo_live_x", NOW)];
const below = (
  parent: OperatorLineage,
  scopes: readonly string[],
  expiresAt?: Date,
  account?: typeof ONE,
): OperatorLineage => [
  ...parent,
  newSubOperator(parent, account, { name: "sub", scopes, expiresAt }, "rpo_live_x", NOW),
];

/** The value of `work`, or the reason of its error. */
function outcome<T>(work: () => T): T | string {
  try {
    return work();
  } catch (error) {
    if (error instanceof DomainError) return error.reason;
    throw error;
  }
}

const mints = fc.array(
  fc.record({
    scopes: fc.uniqueArray(fc.constantFrom(...SCOPES), { minLength: 1, maxLength: 5 }),
    hours: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
    account: fc.constantFrom(undefined, undefined, ONE, OTHER),
  }),
  { maxLength: 9 },
);

describe("over random lineages", () => {
  it("no operator credential may do more, lives longer or reaches further than one above it", () => {
    fc.assert(
      fc.property(mints, (requests) => {
        let lineage = first;
        for (const { scopes, hours, account } of requests) {
          const expiresAt = hours === undefined ? undefined : new Date(NOW + hours * HOUR);
          const beyond = scopesBeyond(scopes, scopesOf(lineage)).length > 0;
          const limit = expiryOf(lineage);
          const minted = outcome(() => below(lineage, scopes, expiresAt, account));
          if (typeof minted === "string") {
            const late = limit !== undefined && expiresAt !== undefined && expiresAt > limit;
            const expected = beyond ? "SCOPE_EXCEEDS_PARENT" : late ? "EXPIRY_EXCEEDS_PARENT" : "LINEAGE_TOO_DEEP";
            expect(lineage.length >= 8 ? "LINEAGE_TOO_DEEP" : expected).toBe(minted);
            continue;
          }
          const [above, operator] = [lastOf(lineage), lastOf(minted)];
          for (const scope of scopesOf(minted)) expect(permits(scopesOf(lineage), scope)).toBe(true);
          const ends = expiryOf(minted)?.getTime() ?? Infinity;
          expect(ends).toBeLessThanOrEqual(limit?.getTime() ?? Infinity);
          if (above.accountId !== undefined) expect(operator.accountId).toBe(above.accountId);
          expect(operator.lineage).toEqual([...above.lineage, operator.id]);
          lineage = minted;
        }
      }),
      { numRuns: 500 },
    );
  });

  it("a revocation ends all below, and only the credentials above one can revoke it", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 8 }), fc.nat(), fc.nat(), (depth, callerSeed, targetSeed) => {
        let lineage = first;
        while (lineage.length < depth) lineage = below(lineage, ["operators:*"]);
        const [caller, target] = [callerSeed % depth, targetSeed % depth];
        const [by, at] = [lineage[caller]!, lineage[target]!];
        const refusals = { revoke: target === caller ? "STATE_CONFLICT" : undefined, rotate: undefined };
        for (const action of ["revoke", "rotate"] as const) {
          const allowed = target < caller ? "OPERATOR_OUT_OF_LINEAGE" : refusals[action];
          expect(outcome(() => requireOperatorAuthority(by.id, at, action))).toBe(allowed);
        }
        const [top, ...rest] = lineage.slice(0, target + 1);
        const revoked = revokedOperator([top!, ...rest], "left", NOW);
        const [head, ...after] = lineage.with(target, revoked);
        expect(isRevoked([head!, ...after])).toBe(true);
        expect(outcome(() => rotatedOperator([head!, ...after], "rpo_live_y", NOW))).toBe("STATE_CONFLICT");
        expect(revokedOperator([head!, ...after.slice(0, target)], "again", NOW + HOUR)).toBe(revoked);
      }),
    );
  });
});
