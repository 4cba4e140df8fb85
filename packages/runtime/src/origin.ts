import { AsyncLocalStorage } from "node:async_hooks";

/** The origin of a call: on whose behalf a transaction runs. The audit log records it with every change. */
export interface Origin {
  readonly actorType: "api_key" | "operator" | "session" | "service";
  /** `key_…`, `op_…`, `ses_…` or, of a service credential, `svc_…`; empty for a service of the node. */
  readonly actorId: string;
  /** `acc_…` that owns the key, or that the operator is limited to, also of a session that acts as one; empty for an operator of the whole node and a service. */
  readonly accountId: string;
  /** Id of the call, by which it is found in the logs. */
  readonly requestId: string;
  /** Client address of the call; empty if unknown. */
  readonly address: string;
}

const current = new AsyncLocalStorage<Origin>();

/** Runs `work`, and all that it starts, on behalf of `origin`. */
export function onBehalfOf<T>(origin: Origin, work: () => T): T {
  return current.run(origin, work);
}

/** Origin of the current call; undefined outside of any call. */
export function currentOrigin(): Origin | undefined {
  return current.getStore();
}
