import { describe, expect, it } from "vitest";
import { effectiveScopes, parseScopes, permits, scopesBeyond } from "./scopes.ts";

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

  it("name exactly what a sub-key asks for beyond its parent", () => {
    expect(scopesBeyond(["keys:*", "usage:read"], ["keys:read", "usage:*"])).toEqual(["keys:*"]);
  });

  it("shrink to the intersection over a lineage, whichever side holds the wildcard", () => {
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
});
