import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { ServiceCredentials } from "@routeplane/credentials";
import type { Logger } from "@routeplane/runtime";
import { REQUEST_ID } from "../headers.ts";
import { findCallOrigin } from "./call-origin.ts";

/** Interceptor that determines the origin of every call, and logs one line for it. */
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

/** A call that has begun, and the line that is logged when it ends. */
export interface ObservedCall {
  readonly requestId: string;
  succeeded(): void;
  /** Logs the failure. @returns the error as the caller gets it, with the request id */
  failed(error: unknown): ConnectError;
}

export function beginCall(log: Logger, method: DescMethod, requestId: string): ObservedCall {
  const startedAt = performance.now();
  const fields = (code: string): object => ({
    requestId,
    method: `${method.parent.typeName}/${method.name}`,
    code,
    ms: Math.round(performance.now() - startedAt),
  });
  return {
    requestId,
    succeeded: () => log.debug(fields("ok"), "call"),
    failed(error) {
      const connect = ConnectError.from(error);
      connect.metadata.set(REQUEST_ID, requestId);
      log.info(fields(Code[connect.code]), "call");
      return connect;
    },
  };
}
