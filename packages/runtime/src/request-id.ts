import { AsyncLocalStorage } from "node:async_hooks";
import { currentOrigin } from "./origin.ts";

const current = new AsyncLocalStorage<string>();

/** Runs `work`, and all that it starts, within the request of this id: calls to other services carry it. */
export function withRequestId<T>(requestId: string, work: () => T): T {
  return current.run(requestId, work);
}

/** Id of the current request, or of the call on whose behalf work runs; undefined outside of any. */
export function currentRequestId(): string | undefined {
  return current.getStore() ?? currentOrigin()?.requestId;
}
