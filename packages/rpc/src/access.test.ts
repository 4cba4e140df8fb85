import { ALL_OPERATOR_SCOPES, ALL_SCOPES, permits, SERVICE_CALLERS, type ServiceCaller } from "@routeplane/credentials";
import { expect, it } from "vitest";
import { accessOf, internalCallerOf, isInternal, operatorScopeOf, publishedServices } from "./access.ts";
import { requireAccess } from "./server/authorize.ts";

const methods = Object.values(publishedServices())
  .flat()
  .flatMap((service) => service.methods);

it("lists every service of the contracts", () => {
  expect(methods.length).toBeGreaterThanOrEqual(18);
});

it.each(methods.map((method) => [`${method.parent.typeName}/${method.name}`, method] as const))(
  "%s has access rules, of known callers and scopes",
  (_name, method) => {
    for (const rule of accessOf(method)) {
      const scope = operatorScopeOf(rule);
      const caller = internalCallerOf(rule);
      const known =
        ["credential", "key", "public"].includes(rule) ||
        SERVICE_CALLERS.some((serviceCaller) => serviceCaller === caller);
      expect(known || (scope === undefined ? permits(ALL_SCOPES, rule) : permits(ALL_OPERATOR_SCOPES, scope))).toBe(
        true,
      );
    }
  },
);

it("has a method for every resource of an operator scope", () => {
  const required = methods.flatMap(accessOf).flatMap((rule) => operatorScopeOf(rule) ?? []);
  for (const scope of ALL_OPERATOR_SCOPES)
    expect(required.filter((operatorScope) => permits([scope], operatorScope))).not.toEqual([]);
});

it("has no public method, and no method for internal and other callers both", () => {
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
  "VerificationService/ResolveMint": ["policy"],
  "VerificationService/ListRevokedKeys": ["policy"],
  "VerificationService/AcknowledgeRevokedKeys": ["policy"],
  "BootstrapService/BootstrapNode": ["installer"],
  "AdmissionService/Admit": ["gateway", "workload"],
  "AdmissionService/Settle": ["gateway", "workload"],
  "AdmissionService/Void": ["gateway", "workload"],
  "EnforcementService/ListAppliedGuardrails": ["gateway"],
  "EnforcementService/WatchPolicyChanges": ["gateway"],
  "GatewaySessionService/AcquireSlices": ["gateway"],
  "GatewaySessionService/CloseSession": ["gateway"],
  "GatewaySessionService/RenewSession": ["gateway"],
  "GatewaySessionService/ReportSettlements": ["gateway"],
  "RequestHistoryService/ListRequestHistory": ["policy"],
  "RequestHistoryService/GetNextNamespace": ["policy"],
  "RequestHistoryService/ListRequestCharges": ["policy"],
  "RequestHistoryService/GetRequestCharges": ["policy"],
  "RequestHistoryService/GetLogPosition": ["policy"],
  "RequestHistoryService/ListSessionRequests": ["policy"],
  "RequestHistoryService/GetInstallation": ["gateway"],
};

it("admits every internal caller to the internal methods that it needs, and to no other method", () => {
  const admitted = methods.map((method) => {
    const callers = SERVICE_CALLERS.filter((caller) => isAdmitted(method, caller));
    return [`${method.parent.name}/${method.name}`, callers] as const;
  });
  expect(Object.fromEntries(admitted.filter(([, callers]) => callers.length > 0))).toEqual(INTERNAL_METHODS);
});

function isAdmitted(method: (typeof methods)[number], caller: ServiceCaller): boolean {
  try {
    requireAccess(method, { kind: "service", caller });
    return true;
  } catch {
    return false;
  }
}
