import { AsyncLocalStorage } from "node:async_hooks";

const current = new AsyncLocalStorage<string>();

/** Runs `work`, and all that it starts, within the request of this id: calls to other services carry it. */
export function withRequestId<T>(requestId: string, work: () => T): T {
  return current.run(requestId, work);
}

/** Id of the current request; undefined outside of any. */
export function currentRequestId(): string | undefined {
  return current.getStore();
}
