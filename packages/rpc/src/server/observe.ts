import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { ServiceCredentials } from "@routeplane/credentials";
import type { Logger } from "@routeplane/runtime";
import { REQUEST_ID } from "../headers.ts";
import { findCallOrigin } from "./call-origin.ts";

/** Finds the origin of every call, and writes one line for it. */
export function observe(log: Logger, serviceCredentials: ServiceCredentials): Interceptor {
  return (next) => async (request) => {
    const { requestId } = findCallOrigin(serviceCredentials, request.header, request.contextValues);
    const call = beginCall(log, request.method, requestId);
    try {
      const response = await next(request);
      response.header.set(REQUEST_ID, call.requestId);
      call.succeeded();
      return response;
    } catch (error) {
      throw call.failed(error);
    }
  };
}

/** One call and the line that it leaves in the log. */
export interface ObservedCall {
  readonly requestId: string;
  succeeded(): void;
  /** The error as the caller gets it, with the request id. */
  failed(error: unknown): ConnectError;
}

export function beginCall(log: Logger, method: DescMethod, requestId: string): ObservedCall {
  const started = performance.now();
  const facts = (code: string): object => ({
    requestId,
    method: `${method.parent.typeName}/${method.name}`,
    code,
    ms: Math.round(performance.now() - started),
  });
  return {
    requestId,
    succeeded: () => log.debug(facts("ok"), "call"),
    failed(error) {
      const connect = ConnectError.from(error);
      connect.metadata.set(REQUEST_ID, requestId);
      log.info(facts(Code[connect.code]), "call");
      return connect;
    },
  };
}
