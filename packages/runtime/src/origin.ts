import { AsyncLocalStorage } from "node:async_hooks";

/** On whose behalf something is being done: what the audit log says of every change. */
export interface Origin {
  readonly actorType: "api_key" | "operator" | "service";
  /** `key_…` or `op_…`; empty for a service. */
  readonly actorId: string;
  /** `acc_…` that owns the caller, or that it is limited to; empty for an operator of the whole node, and for a service. */
  readonly accountId: string;
  /** Finds the call in the logs. */
  readonly requestId: string;
  /** Where the caller connected from, as far as it is known. */
  readonly address: string;
}

const current = new AsyncLocalStorage<Origin>();

/** Runs `work`, and all that it starts, on behalf of `origin`. */
export function onBehalfOf<T>(origin: Origin, work: () => T): T {
  return current.run(origin, work);
}

/** Undefined outside of any call. */
export function currentOrigin(): Origin | undefined {
  return current.getStore();
}
