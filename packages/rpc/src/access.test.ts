import { ALL_OPERATOR_SCOPES, ALL_SCOPES, permits } from "@routeplane/credentials";
import { expect, it } from "vitest";
import { accessOf, operatorScopeOf, publishedServices } from "./access.ts";

const methods = Object.values(publishedServices())
  .flat()
  .flatMap((service) => service.methods);

it("knows every service of the contracts", () => {
  expect(methods.length).toBeGreaterThanOrEqual(18);
});

it.each(methods.map((method) => [`${method.parent.typeName}/${method.name}`, method] as const))(
  "%s says who may call it, in words that exist",
  (_name, method) => {
    for (const rule of accessOf(method)) {
      const scope = operatorScopeOf(rule);
      const known = ["credential", "internal", "public"].includes(rule);
      expect(known || (scope === undefined ? permits(ALL_SCOPES, rule) : permits(ALL_OPERATOR_SCOPES, scope))).toBe(
        true,
      );
    }
  },
);

it("knows for every resource of an operator scope a method that needs it", () => {
  const needed = methods.flatMap(accessOf).flatMap((rule) => operatorScopeOf(rule) ?? []);
  for (const scope of ALL_OPERATOR_SCOPES) expect(needed.filter((each) => permits([scope], each))).not.toEqual([]);
});

it("lets no method be public, and mixes internal with nothing", () => {
  for (const method of methods) {
    const rules = accessOf(method);
    expect(rules).not.toContain("public");
    if (rules.includes("internal")) expect(rules).toEqual(["internal"]);
  }
});
