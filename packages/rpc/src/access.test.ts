import { ALL_OPERATOR_SCOPES, ALL_SCOPES, permits, SERVICE_CALLERS, type ServiceCaller } from "@routeplane/credentials";
import { expect, it } from "vitest";
import { accessOf, internalCallerOf, isInternal, operatorScopeOf, publishedServices } from "./access.ts";
import { requireAccess } from "./server/authorize.ts";

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
      const caller = internalCallerOf(rule);
      const known = ["credential", "public"].includes(rule) || SERVICE_CALLERS.some((each) => each === caller);
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
    if (isInternal(method)) expect(rules.filter((rule) => internalCallerOf(rule) === undefined)).toEqual([]);
  }
});

/** Callers that need each internal method. */
const INTERNAL_METHODS: Readonly<Record<string, readonly ServiceCaller[]>> = {
  "VerificationService/VerifyKey": ["gateway", "policy", "usage", "workload"],
  "VerificationService/WatchChanges": ["gateway", "policy", "usage"],
  "VerificationService/ResolveKey": ["policy"],
  "BootstrapService/BootstrapNode": ["installer"],
  "AdmissionService/Admit": ["gateway", "workload"],
  "AdmissionService/Settle": ["gateway", "workload"],
  "AdmissionService/Void": ["gateway", "workload"],
  "EnforcementService/ListAppliedGuardrails": ["gateway"],
  "EnforcementService/WatchPolicyChanges": ["gateway"],
  "RequestHistoryService/ListRequestHistory": ["policy"],
  "RequestHistoryService/GetNextNamespace": ["policy"],
  "RequestHistoryService/ListRequestCharges": ["policy"],
  "RequestHistoryService/GetRequestCharges": ["policy"],
};

it("lets every internal caller call the internal methods that it needs, and no other method", () => {
  const admits = methods.map((method) => {
    const callers = SERVICE_CALLERS.filter((caller) => isLetIn(method, caller));
    return [`${method.parent.name}/${method.name}`, callers] as const;
  });
  expect(Object.fromEntries(admits.filter(([, callers]) => callers.length > 0))).toEqual(INTERNAL_METHODS);
});

function isLetIn(method: (typeof methods)[number], caller: ServiceCaller): boolean {
  try {
    requireAccess(method, { kind: "service", caller });
    return true;
  } catch {
    return false;
  }
}
