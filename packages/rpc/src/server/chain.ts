import type { Interceptor } from "@connectrpc/connect";
import type { Logger } from "@routeplane/runtime";
import { attribute } from "./attribute.ts";
import { authenticate, type VerifyToken } from "./authenticate.ts";
import { authorize } from "./authorize.ts";
import { deadline } from "./deadline.ts";
import { mapErrors } from "./map-errors.ts";
import { observe } from "./observe.ts";
import { type RequestGate, requestGate } from "./request-gate.ts";
import { validate } from "./validate.ts";

export interface RpcChainOptions {
  readonly log: Logger;
  /** The credential that the services of this node share. */
  readonly serviceToken: string;
  /** Says whom any other token belongs to; throws DomainError UNAUTHENTICATED for a bad one. */
  readonly verifyToken: VerifyToken;
}

/** What every call of every service passes through. */
export interface RpcChain {
  /** Outermost first. */
  readonly interceptors: Interceptor[];
  /** Before them, where the transport has one: see there. */
  readonly requestGate: RequestGate;
}

export function rpcChain(options: RpcChainOptions): RpcChain {
  const { log, serviceToken, verifyToken } = options;
  const interceptors = [
    observe(log),
    mapErrors(log),
    deadline(),
    authenticate(serviceToken, verifyToken),
    attribute(),
    authorize(),
    validate(),
  ];
  return { interceptors, requestGate: requestGate(options) };
}
