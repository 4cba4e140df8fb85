import { randomUUID } from "node:crypto";
import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Logger } from "@routeplane/runtime";

const REQUEST_ID = "x-request-id";

/** Gives every call a request id, its caller's if that is sane, and writes one line for it. */
export function observe(log: Logger): Interceptor {
  return (next) => async (request) => {
    const call = beginCall(log, request.method, request.header);
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

export function beginCall(log: Logger, method: DescMethod, header: Headers): ObservedCall {
  const sent = header.get(REQUEST_ID) ?? "";
  const requestId = /^[\w-]{1,64}$/.test(sent) ? sent : randomUUID();
  header.set(REQUEST_ID, requestId);
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
