import { bearerToken, permits } from "@routeplane/credentials";
import { DomainError, SERVICE_CREDENTIAL_MISUSED } from "@routeplane/domain";
import type { Caller, CallingKey } from "../ports/key-verifier.ts";
import { Refusal } from "../errors/refusal.ts";

/** Scope that an inference request needs. */
export const INFERENCE_SCOPE = "inference:invoke";

/** Headers in which a client can send its key. */
export interface CredentialHeaders {
  readonly authorization: string | undefined;
  readonly apiKey: string | undefined;
}

/**
 * Verifies the key of a request.
 *
 * @param verify a `VerifyKey` or `SubscribeToKey`
 * @returns what `verify` does, at once if it does
 * @throws Refusal 401 without a valid key; DomainError UNAVAILABLE if the key cannot be verified
 */
export function authenticate<T>(headers: CredentialHeaders, verify: (token: string) => T | Promise<T>): T | Promise<T> {
  const presented = bearerToken(headers.authorization, headers.apiKey);
  if ("fault" in presented) throw credentialFault(presented.fault);
  // Service and internal credentials are valid only at the ports of services.
  if (presented.token.startsWith("rps_")) throw invalidKey(SERVICE_CREDENTIAL_MISUSED);
  try {
    const verified = verify(presented.token);
    return verified instanceof Promise ? verified.catch(refuseInvalid) : verified;
  } catch (error) {
    return refuseInvalid(error);
  }
}

/** @throws Refusal 401 for a token that is not valid; any other error as it is */
function refuseInvalid(error: unknown): never {
  if (error instanceof DomainError && error.code === "unauthenticated") throw invalidKey(error.message);
  throw error;
}

/** Requires a key, with any scopes. @throws Refusal 403 */
export function requireKey(caller: Caller): CallingKey {
  requireNoSession(caller);
  if (caller.kind === "key") return caller;
  const message = `an ${caller.kind} credential cannot do this: use a namespace key (rp_…)`;
  throw new Refusal("insufficient_scope", message);
}

/** Requires a key with a scope. @throws Refusal 403 that names the scope */
export function authorise(caller: Caller, scope: string): CallingKey {
  requireNoSession(caller);
  if (caller.kind !== "key") {
    throw forbidden(
      `an ${caller.kind} credential cannot do this: use a namespace key (rp_…) with the scope ${scope}`,
      scope,
    );
  }
  if (!permits(caller.scopes, scope))
    throw forbidden(`this needs the scope ${scope}, which your key does not hold`, scope);
  return caller;
}

/** Refuses the session of a person, whatever it acts as and whatever its scopes: programs have keys. @throws Refusal 403 */
function requireNoSession(caller: Caller): void {
  if (!("sessionId" in caller) || caller.sessionId === undefined) return;
  throw new Refusal("insufficient_scope", "a session credential (rpw_…) cannot call models: use an API key (rp_…)");
}

function credentialFault(fault: "missing" | "conflict"): Refusal {
  return invalidKey(
    fault === "missing"
      ? "no API key: send it as `Authorization: Bearer rp_…` or `x-api-key: rp_…`"
      : "two different credentials in one request: send one, in `Authorization: Bearer` or in `x-api-key`",
  );
}

function invalidKey(message: string): Refusal {
  return new Refusal("invalid_api_key", message);
}

function forbidden(message: string, scope: string): Refusal {
  return new Refusal("insufficient_scope", message, { details: { scope } });
}
