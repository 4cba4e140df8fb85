import { describe, expect, it } from "vitest";
import {
  ALL_OPERATOR_SCOPES,
  effectiveScopes,
  parseOperatorScopes,
  parseScopes,
  permits,
  scopesBeyond,
} from "./scopes.ts";

describe("scopes", () => {
  it("contain by meaning: keys:* contains keys:read, not the reverse", () => {
    expect(permits(["keys:*"], "keys:read")).toBe(true);
    expect(permits(["keys:read"], "keys:*")).toBe(false);
    expect(permits(["keys:read"], "keys:write")).toBe(false);
    expect(permits(["key:*"], "keys:read")).toBe(false);
  });

  it("permit nothing when empty", () => {
    expect(permits([], "keys:read")).toBe(false);
    expect(effectiveScopes([["keys:*"], []])).toEqual([]);
  });

  it("list exactly the requested scopes that the parent does not hold", () => {
    expect(scopesBeyond(["keys:*", "usage:read"], ["keys:read", "usage:*"])).toEqual(["keys:*"]);
  });

  it("shrink to the intersection over a lineage, with the wildcard on either side", () => {
    expect(effectiveScopes([["keys:*", "usage:read"], ["keys:*"], ["keys:read"]])).toEqual(["keys:read"]);
    expect(effectiveScopes([["keys:read"], ["keys:*"]])).toEqual(["keys:read"]);
  });

  it.each([
    [[], "at least one"],
    [["keys:read", " "], "blank"],
    [["KEYS:READ"], 'unknown scope "KEYS:READ"'],
    [["keys:delete"], 'unknown scope "keys:delete"'],
    [["*"], 'unknown scope "*"'],
    [["keys:read", "keys:read"], "twice"],
  ])("refuse %j", (texts, fault) => {
    expect(parseScopes(texts)).toEqual({ fault: expect.stringContaining(fault) });
  });

  it.each([
    [[], "at least one"],
    [["operators:read", ""], "blank"],
    [["Operators:read"], 'unknown scope "Operators:read"'],
    [["*:*"], 'unknown scope "*:*"'],
    [["operators:read", "operators:*", "operators:read"], '"operators:read" is given twice'],
  ])("of an operator credential refuse %j", (texts, fault) => {
    expect(parseOperatorScopes(texts)).toEqual({ fault: expect.stringContaining(fault) });
  });

  it("of an operator credential differ from those of a key", () => {
    expect(parseOperatorScopes(["operators:write", "keys:*"])).toEqual({ scopes: ["keys:*", "operators:write"] });
    for (const scope of ["inference:invoke", "policy:read", "keys:read", "namespace:read"]) {
      expect(parseOperatorScopes([scope])).toEqual({ fault: expect.stringContaining(`unknown scope "${scope}"`) });
    }
    expect(parseScopes(["operators:read"])).toHaveProperty("fault");
    for (const scope of ["accounts:read", "operators:write", "usage:read"]) {
      expect(permits(ALL_OPERATOR_SCOPES, scope)).toBe(true);
    }
  });
});
