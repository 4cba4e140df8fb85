import type { Interceptor } from "@connectrpc/connect";
import { bearerToken, constantTimeEqual } from "@routeplane/credentials";
import { DomainError } from "@routeplane/domain";
import { accessOf } from "../access.ts";
import { type Principal, principalKey } from "../principal.ts";

/** @throws DomainError UNAUTHENTICATED for a bad token, UNAVAILABLE if it cannot be known. */
export type VerifyToken = (token: string) => Promise<Principal>;

/** Finds out who calls. A method that is not public is never reached without a principal. */
export function authenticate(serviceToken: string, verifyToken: VerifyToken): Interceptor {
  return (next) => (request) => {
    if (accessOf(request.method).includes("public")) return next(request);
    const presented = bearerToken(request.header.get("authorization"), request.header.get("x-api-key"));
    if ("fault" in presented) throw credentialFault(presented.fault);
    const proceed = (principal: Principal) => {
      request.contextValues.set(principalKey, principal);
      return next(request);
    };
    // Not waited for where there is nothing to wait for: this is on the way of the hottest calls.
    return serviceTokenMatches(presented.token, serviceToken)
      ? proceed(SERVICE)
      : verifyToken(presented.token).then(proceed);
  };
}

const SERVICE = { kind: "service" } as const;

export function serviceTokenMatches(presented: string, serviceToken: string): boolean {
  return presented.startsWith("rps_") && constantTimeEqual(presented, serviceToken);
}

function credentialFault(fault: "missing" | "conflict"): DomainError {
  const message =
    fault === "missing"
      ? "no credential: send it as `Authorization: Bearer rp_…`"
      : "two different credentials in one request: send one";
  return new DomainError("unauthenticated", "CREDENTIAL_MISSING", message);
}
