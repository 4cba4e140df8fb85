import { randomUUID } from "node:crypto";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Logger } from "@routeplane/runtime";

const REQUEST_ID = "x-request-id";

/** Gives every call a request id, its caller's if that is sane, and writes one line for it. */
export function observe(log: Logger): Interceptor {
  return (next) => async (request) => {
    const sent = request.header.get(REQUEST_ID) ?? "";
    const requestId = /^[\w-]{1,64}$/.test(sent) ? sent : randomUUID();
    request.header.set(REQUEST_ID, requestId);
    const started = performance.now();
    const facts = (code: string): object => ({
      requestId,
      method: `${request.service.typeName}/${request.method.name}`,
      code,
      ms: Math.round(performance.now() - started),
    });
    try {
      const response = await next(request);
      response.header.set(REQUEST_ID, requestId);
      log.debug(facts("ok"), "call");
      return response;
    } catch (error) {
      const connect = ConnectError.from(error);
      connect.metadata.set(REQUEST_ID, requestId);
      log.info(facts(Code[connect.code]), "call");
      throw connect;
    }
  };
}
