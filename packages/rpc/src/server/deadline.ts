import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

/**
 * Answers when the caller's deadline passes (or the server's longest, see server.ts), whatever the handler is waiting for.
 */
export function deadline(): Interceptor {
  return (next) => async (request) => {
    const { signal } = request;
    const expired = Promise.withResolvers<never>();
    const onAbort = (): void => {
      const { reason } = signal as { reason: unknown };
      expired.reject(reason instanceof ConnectError ? reason : new ConnectError("cancelled", Code.Canceled));
    };
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([next(request), expired.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  };
}
