import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Logger } from "@routeplane/runtime";
import { toConnectError } from "../errors.ts";

/** Turns whatever was thrown into the error that the caller sees; what the caller must not see is logged. */
export function mapErrors(log: Logger): Interceptor {
  return (next) => async (request) => {
    const requestId = request.header.get("x-request-id") ?? "";
    const mapped = (error: unknown): ConnectError => mapError(log, error, requestId, request.stream);
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: withErrors(response.message, mapped) } : response;
    } catch (error) {
      throw mapped(error);
    }
  };
}

export function mapError(log: Logger, error: unknown, requestId: string, ofStream: boolean): ConnectError {
  const connect = toConnectError(
    ofStream && isDeparture(error) ? new ConnectError("the caller is gone", Code.Canceled) : error,
  );
  const facts = { err: error, requestId };
  if (connect.code === Code.Internal) log.error(facts, "call failed");
  // Whoever follows a stream calls again; it is expected of a service that is not ready yet.
  else if (connect.code === Code.Unavailable) log[ofStream ? "warn" : "error"](facts, "call failed");
  return connect;
}

const GONE: ReadonlySet<unknown> = new Set([
  "ERR_HTTP2_INVALID_STREAM",
  "ERR_STREAM_DESTROYED",
  "ERR_STREAM_WRITE_AFTER_END",
]);

/** What connect-node throws into a stream's handler when there is nobody any more to write to; elsewhere it is a fault. */
function isDeparture(error: unknown): boolean {
  return error instanceof Error && "code" in error && GONE.has(error.code);
}

/** A stream's handler runs, and may fail, while it is read. */
async function* withErrors<T>(messages: AsyncIterable<T>, map: (error: unknown) => ConnectError): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw map(error);
  }
}
