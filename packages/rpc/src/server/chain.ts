import type { Interceptor } from "@connectrpc/connect";
import type { ServiceCredentials } from "@routeplane/credentials";
import type { Logger } from "@routeplane/runtime";
import type { VerifyToken } from "../principal.ts";
import { attribute } from "./attribute.ts";
import { authenticate } from "./authenticate.ts";
import { authorize } from "./authorize.ts";
import { deadline } from "./deadline.ts";
import { mapErrors } from "./map-errors.ts";
import { observe } from "./observe.ts";
import { type RequestGate, requestGate } from "./request-gate.ts";
import { validate } from "./validate.ts";

export interface RpcChainOptions {
  readonly log: Logger;
  /** Credentials of the internal callers that are known here. */
  readonly serviceCredentials: ServiceCredentials;
  /** Says whom any other token belongs to; throws DomainError UNAUTHENTICATED for a bad one. */
  readonly verifyToken: VerifyToken;
  /** For how often a credential calls. `performance.now` by default. */
  readonly monotonic?: () => number;
}

/** What every call of every service passes through. */
export interface RpcChain {
  /** Outermost first. */
  readonly interceptors: Interceptor[];
  /** Before them, where the transport has one: see there. */
  readonly requestGate: RequestGate;
}

export function rpcChain(options: RpcChainOptions): RpcChain {
  const { log, serviceCredentials, verifyToken } = options;
  const interceptors = [
    observe(log, serviceCredentials),
    mapErrors(log),
    deadline(),
    authenticate(serviceCredentials, verifyToken),
    attribute(),
    authorize(),
    validate(),
  ];
  return { interceptors, requestGate: requestGate(options) };
}
