/** Promises of `setTimeout`, standing in for `node:timers/promises` on the timers of the global object, which a test can move. */
export function setTimeout<T = void>(
  delayMs = 0,
  value?: T,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<T | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<T | undefined>();
  if (signal?.aborted === true) return Promise.reject(signal.reason);
  const onAbort = (): void => {
    clearTimeout(timer);
    reject(signal?.reason);
  };
  const timer = globalThis.setTimeout(() => {
    signal?.removeEventListener("abort", onAbort);
    resolve(value);
  }, delayMs);
  signal?.addEventListener("abort", onAbort, { once: true });
  return promise;
}
