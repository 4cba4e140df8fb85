import type { ServiceCredentials } from "@routeplane/credentials";
import type { Logger } from "@routeplane/runtime";
import type { VerifyToken } from "../principal.ts";

/** Dependencies of the interceptor chain and of the request gate before it. */
export interface RpcChainOptions {
  readonly log: Logger;
  /** Credentials of the internal callers that this service knows. */
  readonly serviceCredentials: ServiceCredentials;
  /** Finds the principal of any other token. Throws DomainError UNAUTHENTICATED for a bad one. */
  readonly verifyToken: VerifyToken;
  /** Clock of the call rate of a credential. `performance.now` by default. */
  readonly monotonic?: () => number;
}
