import type { DescMethod } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { bearerToken, type ServiceCredentials } from "@routeplane/credentials";
import { DomainError } from "@routeplane/domain";
import { accessOf } from "../access.ts";
import { type Principal, principalKey, type VerifyToken } from "../principal.ts";
import { requireAccess } from "./authorize.ts";

/** Interceptor that identifies the caller. A method that is not public is never reached without a principal. */
export function authenticate(serviceCredentials: ServiceCredentials, verifyToken: VerifyToken): Interceptor {
  const identify = createIdentify(serviceCredentials, verifyToken);
  return (next) => (request) => {
    const { method, header, contextValues } = request;
    // Set already by the request gate, before the body was read.
    if (contextValues.get(principalKey) !== undefined) return next(request);
    const principal = identify(method, header);
    if (principal === undefined) return next(request);
    const proceed = (identified: Principal) => {
      contextValues.set(principalKey, identified);
      return next(request);
    };
    // Without `await` where the principal is cached: this is on the path of the hottest calls.
    return principal instanceof Promise ? principal.then(proceed) : proceed(principal);
  };
}

/**
 * Interceptor that checks the caller again before each message of a stream: nothing leaves once it is known that the credential was revoked,
 * has expired or has lost its access. Internal callers and service credentials are not checked: their streams end by themselves.
 */
export function authenticateMessages(serviceCredentials: ServiceCredentials, verifyToken: VerifyToken): Interceptor {
  const identify = createIdentify(serviceCredentials, verifyToken);
  return (next) => (request) => {
    if (!request.stream) return next(request);
    const { method, header, contextValues } = request;
    const kind = contextValues.get(principalKey)?.kind;
    if (kind !== "key" && kind !== "operator") return next(request);
    const check = async (): Promise<void> => requireAccess(method, await identify(method, header));
    return next(request).then((response) =>
      response.stream ? { ...response, message: checked(response.message, check) } : response,
    );
  };
}

async function* checked<T>(messages: AsyncIterable<T>, check: () => Promise<void>): AsyncGenerator<T, void> {
  for await (const message of messages) {
    await check();
    yield message;
  }
}

/** Identifies the caller by the headers of a call; undefined on a public method. @throws DomainError as a `VerifyToken` */
export type Identify = (method: DescMethod, header: Headers) => Principal | Promise<Principal> | undefined;

export function createIdentify(serviceCredentials: ServiceCredentials, verifyToken: VerifyToken): Identify {
  return (method, header) => {
    if (accessOf(method).includes("public")) return undefined;
    const presented = bearerToken(header.get("authorization"), header.get("x-api-key"));
    if ("fault" in presented) throw credentialFault(presented.fault);
    const { token } = presented;
    const caller = token.startsWith("rps_") ? serviceCredentials.callerOf(token) : undefined;
    return caller === undefined ? verifyToken(token) : { kind: "internal", caller };
  };
}

function credentialFault(fault: "missing" | "conflict"): DomainError {
  const message =
    fault === "missing"
      ? "no credential: send it as `Authorization: Bearer rp_…`"
      : "two different credentials in one request: send one";
  return new DomainError("unauthenticated", "CREDENTIAL_MISSING", message);
}
