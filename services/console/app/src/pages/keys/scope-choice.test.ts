import { SINGLE_SCOPES } from "@routeplane/credentials/scopes";
import { expect, test } from "vitest";
import { mintScopeOptions, narrowScopeOptions, SCOPE_TEXTS } from "./scope-choice.ts";

test("has a text for every scope", () => {
  expect(Object.keys(SCOPE_TEXTS).toSorted()).toEqual(SINGLE_SCOPES.toSorted());
});

test("offers every scope to a mint, and marks scopes that the key above does not hold", () => {
  const options = mintScopeOptions(["keys:*", "inference:invoke"]);
  expect(options.filter(({ isHeld }) => isHeld).map(({ scope }) => scope)).toEqual([
    "inference:invoke",
    "keys:read",
    "keys:write",
  ]);
  expect(options).toHaveLength(SINGLE_SCOPES.length);
});

test("offers the scopes that a key holds, and the parts of its wildcards, for narrowing", () => {
  const offered = (chosen: readonly string[]) =>
    narrowScopeOptions(["keys:*", "usage:read"], chosen).map(({ scope, isImplied }) => [scope, isImplied]);
  expect(offered(["keys:*", "usage:read"])).toEqual([
    ["keys:*", false],
    ["keys:read", true],
    ["keys:write", true],
    ["usage:read", false],
  ]);
  expect(offered(["keys:read"])).toContainEqual(["keys:write", false]);
});
