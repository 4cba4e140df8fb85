import { Code, type Interceptor } from "@connectrpc/connect";
import type { Logger } from "@routeplane/runtime";
import { toConnectError } from "../errors.ts";

/** Turns whatever was thrown into the error that the caller sees; what the caller must not see is logged. */
export function mapErrors(log: Logger): Interceptor {
  return (next) => async (request) => {
    try {
      return await next(request);
    } catch (error) {
      const connect = toConnectError(error);
      if (connect.code === Code.Internal || connect.code === Code.Unavailable) {
        log.error({ err: error, requestId: request.header.get("x-request-id") }, "call failed");
      }
      throw connect;
    }
  };
}
