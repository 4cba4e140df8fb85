import type { Interceptor } from "@connectrpc/connect";
import { attribute } from "./attribute.ts";
import { authenticate } from "./authenticate.ts";
import { authorize } from "./authorize.ts";
import type { RpcChainOptions } from "./chain-options.ts";
import { deadline } from "./deadline.ts";
import { mapErrors } from "./map-errors.ts";
import { observe } from "./observe.ts";
import { type RequestGate, requestGate } from "./request-gate.ts";
import { validate } from "./validate.ts";

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
