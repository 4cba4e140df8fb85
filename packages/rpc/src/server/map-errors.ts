import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Logger } from "@routeplane/runtime";
import { toConnectError } from "../errors.ts";

/** Interceptor that maps every error to the one that the caller gets, and logs what the caller must not see. */
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

/** Maps an error to a Connect error, and logs it if it is a fault of the service. */
export function mapError(log: Logger, error: unknown, requestId: string, isStream: boolean): ConnectError {
  const connect = toConnectError(
    isStream && isHangUp(error) ? new ConnectError("the caller is gone", Code.Canceled) : error,
  );
  const facts = { err: error, requestId };
  if (connect.code === Code.Internal) log.error(facts, "call failed");
  // The caller of a stream calls again, and a service that is not ready yet is expected.
  else if (connect.code === Code.Unavailable) log[isStream ? "warn" : "error"](facts, "call failed");
  return connect;
}

/** Codes of Node's errors for a write to a stream that is closed. */
const STREAM_CLOSED: ReadonlySet<unknown> = new Set([
  "ERR_HTTP2_INVALID_STREAM",
  "ERR_STREAM_DESTROYED",
  "ERR_STREAM_WRITE_AFTER_END",
]);

/** True for the error that connect-node throws into a stream's handler when the caller has hung up; in unary calls it is a fault. */
function isHangUp(error: unknown): boolean {
  return error instanceof Error && "code" in error && STREAM_CLOSED.has(error.code);
}

/** Maps the errors of a stream: its handler runs, and may fail, while it is read. */
async function* withErrors<T>(messages: AsyncIterable<T>, map: (error: unknown) => ConnectError): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw map(error);
  }
}
