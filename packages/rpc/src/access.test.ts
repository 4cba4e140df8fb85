import {
  ALL_OPERATOR_SCOPES,
  ALL_SCOPES,
  ALL_SERVICE_SCOPES,
  permits,
  SERVICE_CALLERS,
  type ServiceCaller,
} from "@routeplane/credentials";
import { expect, it } from "vitest";
import {
  accessOf,
  internalCallerOf,
  isInternal,
  operatorScopeOf,
  publishedServices,
  serviceScopeOf,
} from "./access.ts";
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
        SERVICE_CALLERS.some((serviceCaller) => serviceCaller === caller) ||
        ALL_SERVICE_SCOPES.some((serviceScope) => serviceScope === serviceScopeOf(rule));
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

it("has no public method, and no method for both internal callers or services and others", () => {
  for (const method of methods) {
    const rules = accessOf(method);
    expect(rules).not.toContain("public");
    const ofOthers = rules.filter((rule) => internalCallerOf(rule) === undefined && serviceScopeOf(rule) === undefined);
    expect(isInternal(method) ? ofOthers : rules).toEqual(isInternal(method) ? [] : ofOthers);
  }
});

it("admits service credentials to the methods of their scopes, and to no other method", () => {
  const admitted = methods.flatMap((method) =>
    accessOf(method).flatMap((rule) => {
      const scope = serviceScopeOf(rule);
      return scope === undefined ? [] : [`${method.name} ${scope}`];
    }),
  );
  expect(admitted.toSorted()).toEqual([
    "Admit policy:admit",
    "Settle policy:admit",
    "VerifyKey keys:verify",
    "Void policy:admit",
    "WatchChanges keys:verify",
  ]);
});

/** Callers that need each internal method. */
const INTERNAL_METHODS: Readonly<Record<string, readonly ServiceCaller[]>> = {
  "VerificationService/VerifyKey": ["gateway", "policy", "usage", "workload"],
  "VerificationService/WatchChanges": ["gateway", "policy", "usage"],
  "VerificationService/ResolveKey": ["policy"],
  "VerificationService/ResolveMint": ["policy"],
  "VerificationService/ListRevokedKeys": ["policy"],
  "VerificationService/AcknowledgeRevokedKeys": ["policy"],
  "SessionService/RedeemSignInCode": ["console"],
  "SessionService/LeaveNamespace": ["console"],
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
    requireAccess(method, { kind: "internal", caller });
    return true;
  } catch {
    return false;
  }
}
