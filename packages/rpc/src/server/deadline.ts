import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

/**
 * Answers when the caller's deadline passes (or the server's longest, see server.ts), whatever the handler is waiting for.
 */
export function deadline(): Interceptor {
  return (next) => (request) => {
    const { signal } = request;
    const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<typeof next>>>();
    const onAbort = (): void => {
      const { reason } = signal as { reason: unknown };
      reject(reason instanceof ConnectError ? reason : new ConnectError("cancelled", Code.Canceled));
    };
    if (signal.aborted) onAbort();
    // Not taken away again: the signal is the call's own, and goes with it.
    signal.addEventListener("abort", onAbort, { once: true });
    // In a function that is async, so that what throws at once ends this promise too: when the signal rejects it later, nobody
    // would be there.
    const work = async () => next(request);
    work().then(resolve, reject);
    return promise;
  };
}
