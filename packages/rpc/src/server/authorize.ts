import type { DescMethod } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { invokesOrReads, permits } from "@routeplane/credentials";
import { DomainError, serviceCredentialMisused, tokenReplaced } from "@routeplane/domain";
import { accessOf, type AccessRule, internalCallerOf, operatorScopeOf, serviceScopeOf } from "../access.ts";
import { type Principal, principalKey } from "../principal.ts";

/** Interceptor that checks the caller against the access rules of the method: one that admits it is enough. */
export function authorize(): Interceptor {
  return (next) => (request) => {
    requireAccess(request.method, request.contextValues.get(principalKey));
    return next(request);
  };
}

/** Requires that an access rule of the method admits the principal. @throws DomainError PERMISSION_DENIED */
export function requireAccess(method: DescMethod, principal: Principal | undefined): void {
  const rules = accessOf(method);
  if (!rules.some((rule) => admits(rule, principal))) throw denial(rules, principal);
}

function admits(rule: AccessRule, principal: Principal | undefined): boolean {
  switch (rule) {
    case "public":
      return true;
    case "credential":
      return principal?.kind === "key" || principal?.kind === "operator";
    case "key":
      return principal?.kind === "key";
    default: {
      const caller = internalCallerOf(rule);
      if (caller !== undefined) return principal?.kind === "internal" && principal.caller === caller;
      const serviceScope = serviceScopeOf(rule);
      if (serviceScope !== undefined) return principal?.kind === "service" && permits(principal.scopes, serviceScope);
      const operatorScope = operatorScopeOf(rule);
      if (operatorScope !== undefined)
        return principal?.kind === "operator" && permits(principal.scopes, operatorScope);
      return principal?.kind === "key" && permits(principal.scopes, rule);
    }
  }
}

function denial(rules: readonly AccessRule[], principal: Principal | undefined): DomainError {
  if (principal?.kind === "service") return serviceDenial(rules);
  const callers = rules.flatMap((rule) => internalCallerOf(rule) ?? []);
  if (callers.length > 0) return internalDenial(callers, rules, principal);
  if (rules.includes("key") && principal?.kind === "operator") {
    const message =
      "this needs a namespace key (rp_…): an operator credential has no limits and belongs to no namespace";
    return new DomainError("permission_denied", "KEY_REQUIRED", message);
  }
  const [operatorScope] = rules.flatMap((rule) => operatorScopeOf(rule) ?? []);
  const scope = rules.find((rule) => rule.includes(":") && operatorScopeOf(rule) === undefined);
  if (operatorScope !== undefined && principal?.kind === "operator") {
    if (isBeyondGrace(principal, operatorScope)) return tokenReplaced(principal, operatorScope);
    const message = `this needs the operator scope ${operatorScope}, which your operator credential does not hold`;
    return new DomainError("permission_denied", "SCOPE_MISSING", message, { metadata: { scope: operatorScope } });
  }
  if (scope !== undefined && principal?.kind === "key") {
    if (isBeyondGrace(principal, scope)) return tokenReplaced(principal, scope);
    const message = `this needs the scope ${scope}, which your key does not hold`;
    return new DomainError("permission_denied", "SCOPE_MISSING", message, { metadata: { scope } });
  }
  if (scope !== undefined) {
    const message = `this needs a namespace key with the scope ${scope}; an operator credential is not bound to a namespace`;
    return new DomainError("permission_denied", "SCOPE_MISSING", message, { metadata: { scope } });
  }
  if (operatorScope !== undefined) {
    return new DomainError("permission_denied", "OPERATOR_REQUIRED", "this needs an operator credential (rpo_…)");
  }
  return internalOnly();
}

/** True if the token was replaced by a rotation, and `scope` is one that no replaced token may use. */
function isBeyondGrace<P extends Principal>(
  principal: P,
  scope: string,
): principal is P & { readonly graceEndsAt: Date } {
  return "graceEndsAt" in principal && principal.graceEndsAt !== undefined && !invokesOrReads(scope);
}

/** Denial of a service credential. On a method for keys or operators it is the wrong credential, whatever its scopes. */
function serviceDenial(rules: readonly AccessRule[]): DomainError {
  const [scope] = rules.flatMap((rule) => serviceScopeOf(rule) ?? []);
  if (scope !== undefined) {
    const message = `this needs the scope ${scope}, which your service credential does not hold`;
    return new DomainError("permission_denied", "SCOPE_MISSING", message, { metadata: { scope } });
  }
  if (rules.some((rule) => internalCallerOf(rule) !== undefined)) return internalOnly();
  return serviceCredentialMisused();
}

/** Denial of an internal method. It names the callers that are admitted only to another internal caller. */
function internalDenial(
  callers: readonly string[],
  rules: readonly AccessRule[],
  principal: Principal | undefined,
): DomainError {
  const [scope] = rules.flatMap((rule) => serviceScopeOf(rule) ?? []);
  if (scope !== undefined && principal !== undefined && principal.kind !== "internal") {
    const credential = principal.kind === "key" ? "an API key" : "an operator credential";
    const message = `this needs a service credential (rps_…) with the scope ${scope}, and the credential is ${credential}`;
    return new DomainError("permission_denied", "SERVICE_REQUIRED", message, { metadata: { scope } });
  }
  return internalOnly(principal?.kind === "internal" ? { callers, caller: principal.caller } : undefined);
}

function internalOnly(denied?: { readonly callers: readonly string[]; readonly caller: string }): DomainError {
  const message =
    denied !== undefined
      ? `this is only for the internal callers ${denied.callers.join(", ")}, and the credential is that of ${denied.caller}`
      : "this is only for the services of this node";
  return new DomainError("permission_denied", "INTERNAL_ONLY", message);
}
